"""The best SQL known for each endpoint, as rows; money and dates come as the text that is sent.

Bestsellers sums the quantities first, and the revenue for the ten alone; the statistics add up orders and
products before they join them.
"""

PRODUCT_ROW = """
    SELECT p.product_id, p.name, p.price::text AS price, p.stock, c.category_name AS category
    FROM product p JOIN category c USING (category_id)"""

PRODUCTS = f"{PRODUCT_ROW} ORDER BY p.product_id"

LOW_STOCK = f"{PRODUCT_ROW} WHERE p.stock < 10 ORDER BY p.stock, p.product_id"

CUSTOMER_ORDERS = """
    SELECT o.order_id, o.order_date::text AS order_date, o.status, o.total_amount::text AS total_amount,
        c.email AS customer_email
    FROM "order" o JOIN customer c USING (customer_id)
    WHERE o.customer_id = %(id)s ORDER BY o.order_date DESC, o.order_id DESC"""

ORDER_DETAILS = """
    SELECT o.order_id, o.order_date::text AS order_date, c.first_name || ' ' || c.last_name AS customer_name,
        p.name AS product_name, i.quantity, i.price_per_unit::text AS price_per_unit,
        (i.quantity * i.price_per_unit)::text AS subtotal
    FROM order_item i JOIN "order" o USING (order_id) JOIN customer c USING (customer_id)
        JOIN product p USING (product_id)
    WHERE i.order_id = %(id)s ORDER BY i.order_item_id"""

CART_ITEMS = """
    SELECT p.name AS product_name, p.price::text AS price, i.quantity,
        (i.quantity * p.price)::text AS subtotal
    FROM cart_item i JOIN cart USING (cart_id) JOIN product p USING (product_id)
    WHERE cart.customer_id = %(id)s ORDER BY i.cart_item_id"""

BESTSELLERS = """
    WITH best AS (
        SELECT product_id, sum(quantity) AS total_sold FROM order_item
        GROUP BY product_id ORDER BY total_sold DESC, product_id LIMIT 10)
    SELECT p.product_id, p.name, p.price::text AS price, best.total_sold, (
            SELECT sum(i.quantity * i.price_per_unit) FROM order_item i WHERE i.product_id = p.product_id
        )::text AS total_revenue
    FROM best JOIN product p USING (product_id) ORDER BY best.total_sold DESC, p.product_id"""

CUSTOMER_STATS = """
    SELECT c.customer_id, c.first_name || ' ' || c.last_name AS name, c.email,
        coalesce(o.orders, 0) AS total_orders, coalesce(o.spent, 0.00)::text AS total_spent
    FROM customer c LEFT JOIN (
        SELECT customer_id, count(*) AS orders, sum(total_amount) AS spent FROM "order" GROUP BY customer_id
    ) o USING (customer_id)
    ORDER BY coalesce(o.spent, 0.00) DESC, c.customer_id"""

CATEGORY_STATS = """
    SELECT c.category_name, coalesce(p.products, 0) AS product_count, coalesce(p.stock, 0) AS total_stock,
        coalesce(round(p.price, 2), 0.00)::text AS avg_price
    FROM category c LEFT JOIN (
        SELECT category_id, count(*) AS products, sum(stock) AS stock, avg(price) AS price
        FROM product GROUP BY category_id
    ) p USING (category_id)
    ORDER BY coalesce(p.products, 0) DESC, c.category_name"""

# Asked only when there are no rows: is there nothing to list, or nobody to list it for?
CUSTOMER_EXISTS = "SELECT FROM customer WHERE customer_id = %(id)s"
ORDER_EXISTS = 'SELECT FROM "order" WHERE order_id = %(id)s'
CART_EXISTS = "SELECT FROM cart WHERE customer_id = %(id)s"
