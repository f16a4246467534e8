-- The queries behind the endpoints (docs/API.md) and the examples of docs/QUERIES.md, as one writes them by hand.
-- Each stands under a `-- name:` line; the tests compare its rows with those of its twin in Python.

-- The endpoints ------------------------------------------------------------------------------------------------

-- name: products
SELECT product_id, name, price, stock, category_name AS category
FROM product
JOIN category USING (category_id)
ORDER BY product_id;

-- name: customer-orders
SELECT order_id, order_date, status, total_amount, email AS customer_email
FROM "order"
JOIN customer USING (customer_id)
WHERE customer_id = 1
ORDER BY order_date DESC, order_id DESC;

-- name: order-details
SELECT order_id,
       order_date,
       first_name || ' ' || last_name AS customer_name,
       product.name AS product_name,
       quantity,
       price_per_unit,
       quantity * price_per_unit AS subtotal
FROM order_item
JOIN "order" USING (order_id)
JOIN customer USING (customer_id)
JOIN product USING (product_id)
WHERE order_id = 1
ORDER BY order_item_id;

-- name: customer-cart
SELECT product.name AS product_name, price, quantity, quantity * price AS subtotal
FROM cart_item
JOIN cart USING (cart_id)
JOIN product USING (product_id)
WHERE customer_id = 1
ORDER BY cart_item_id;

-- name: bestsellers
WITH spare AS (SELECT product_id FROM product_sales WHERE NOT main),
best AS (
    SELECT product_id
    FROM product_sales
    WHERE main AND quantity > 0 AND product_id NOT IN (SELECT product_id FROM spare)
    ORDER BY quantity DESC, product_id
    LIMIT 10
)
SELECT product_id, name, price, sum(quantity)::bigint AS total_sold, sum(revenue) AS total_revenue
FROM product
JOIN product_sales USING (product_id)
WHERE product_id IN (SELECT product_id FROM best UNION SELECT product_id FROM spare)
GROUP BY product_id
HAVING sum(quantity) > 0
ORDER BY total_sold DESC, product_id
LIMIT 10;

-- name: low-stock
SELECT product_id, name, price, stock, category_name AS category
FROM product
JOIN category USING (category_id)
WHERE stock < 10
ORDER BY stock, product_id;

-- name: customer-stats
SELECT customer_id,
       first_name || ' ' || last_name AS name,
       email,
       coalesce(total_orders, 0) AS total_orders,
       coalesce(total_spent, 0.00) AS total_spent
FROM customer
LEFT JOIN customer_spending USING (customer_id)
ORDER BY total_spent DESC, customer_id;

-- name: category-stats
SELECT category_name,
       coalesce(product_count, 0) AS product_count,
       coalesce(total_stock, 0) AS total_stock,
       coalesce(round(avg_price, 2), 0.00) AS avg_price
FROM category
LEFT JOIN category_stock USING (category_id)
ORDER BY product_count DESC, category_name;

-- name: bestsellers-from-the-lines
SELECT product_id, name, price, sum(quantity) AS total_sold, sum(quantity * price_per_unit) AS total_revenue
FROM product
JOIN order_item USING (product_id)
GROUP BY product_id
ORDER BY total_sold DESC, product_id
LIMIT 10;

-- The examples -------------------------------------------------------------------------------------------------

-- name: electronics
SELECT product_id
FROM product
JOIN category USING (category_id)
WHERE category_name = 'Electronics';

-- name: expensive
SELECT product_id FROM product WHERE price >= 500;

-- name: revenue-per-product
SELECT product_id, sum(quantity * price_per_unit) AS revenue
FROM product
LEFT JOIN order_item USING (product_id)
GROUP BY product_id;

-- name: customer-order-statistics
SELECT customer_id, count(order_id) AS order_count, sum(total_amount) AS total_spent
FROM customer
LEFT JOIN "order" USING (customer_id)
GROUP BY customer_id;

-- name: category-summary
SELECT category_id, count(product_id) AS product_count, avg(price) AS avg_price
FROM category
LEFT JOIN product USING (category_id)
GROUP BY category_id;

-- name: low-stock-or-expensive
SELECT product_id FROM product WHERE stock < 10 OR price > 1000;

-- name: recent-orders
SELECT order_id FROM "order" WHERE order_date >= current_date - 30;

-- name: never-ordered
SELECT product_id
FROM product
WHERE NOT EXISTS (SELECT FROM order_item WHERE order_item.product_id = product.product_id);

-- name: spent-over-500
SELECT customer_id, sum(total_amount) AS total
FROM customer
JOIN "order" USING (customer_id)
GROUP BY customer_id
HAVING sum(total_amount) > 500;

-- name: old-completed-orders
SELECT order_id FROM "order" WHERE order_date < current_date - 365 AND status = 'completed';

-- Writing ------------------------------------------------------------------------------------------------------

-- Stock is taken by a statement that asks for enough itself: whoever waited for the row finds it as it is then. No row
-- comes back if there is not enough. A SELECT before it would sell the same piece twice when two buy at once.
-- name: take-stock
UPDATE product
SET stock = stock - 2
WHERE product_id = 1 AND stock >= 2
RETURNING product_id, stock;

-- The same for an order's status, which goes forward only, and into its history.
-- name: ship-order
WITH shipped AS (
    UPDATE "order"
    SET status = 'shipped'
    WHERE order_id = 1 AND status IN ('pending', 'processing')
    RETURNING order_id, status
)
INSERT INTO order_history (order_id, status, by)
SELECT order_id, status, 'staff' FROM shipped
RETURNING order_id, status;
