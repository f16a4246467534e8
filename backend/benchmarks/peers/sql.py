"""The best SQL known for each endpoint, as rows; money and dates come as the text that is sent.

Bestsellers sums the quantities first, and the revenue for the ten alone; the statistics add up orders and
products before they join them.
"""

PRODUCT_ROW = """
    SELECT p.product_id, p.name, p.price::text AS price, p.stock, c.category_name AS category
    FROM product p JOIN category c USING (category_id)"""

PRODUCTS = f"{PRODUCT_ROW} ORDER BY p.product_id"

PRODUCT = """
    SELECT p.product_id, p.name, p.description, p.price::text AS price, p.stock, c.category_name AS category
    FROM product p JOIN category c USING (category_id) WHERE p.product_id = %(id)s"""

# The first page of a search, as the shop asks for it (shop/catalog/search.py).
SEARCH = """
    WITH typed AS MATERIALIZED (
        SELECT search_query(%(q)s, 'english_stem', false) AS query FROM set_config('work_mem', '16MB', true)
    ), hit AS MATERIALIZED (
        SELECT product_id, name, price, stock, category_id FROM product
        WHERE search_lexemes(name, description, category_id) @@ (SELECT query FROM typed) LIMIT 1000
    ), corrected AS MATERIALIZED (
        SELECT search_query(%(q)s, 'english_stem', true) AS query WHERE NOT EXISTS (SELECT FROM hit)
    ), found AS MATERIALIZED (
        SELECT * FROM hit
        UNION ALL (
            SELECT product_id, name, price, stock, category_id FROM product
            WHERE search_lexemes(name, description, category_id) @@ (SELECT query FROM corrected) LIMIT 1000
        )
    )
    SELECT product_id, name, price::text AS price, stock, category_name AS category
    FROM found JOIN category USING (category_id)
    ORDER BY search_rank(name, (
        SELECT regexp_replace(
            coalesce((SELECT query FROM corrected), (SELECT query FROM typed))::text,
            E' \\\\| ''#[0-9]+''', '', 'g'
        )::tsquery
    ), 'english') DESC, product_id
    LIMIT %(limit)s"""

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

# What a customer's access token needs looked up: the password it was made under, and the sign-in.
CALLER = """
    SELECT password FROM customer c WHERE customer_id = %(customer_id)s AND EXISTS (
        SELECT FROM refresh_token r WHERE r.customer_id = c.customer_id AND family = %(family)s::uuid)"""

# A change of a cart's line, in one transaction.
HOLD_CART = """
    UPDATE cart SET last_updated = clock_timestamp() WHERE customer_id = %(customer_id)s RETURNING cart_id"""

OFFER = """
    SELECT p.product_id, p.name AS product_name, p.price, p.stock, (
            SELECT quantity FROM cart_item WHERE cart_id = %(cart_id)s AND product_id = p.product_id
        ) AS in_cart, (SELECT count(*) FROM cart_item WHERE cart_id = %(cart_id)s) AS lines
    FROM product p WHERE p.product_id = %(product_id)s"""

CHANGE_LINE = """
    UPDATE cart_item SET quantity = %(quantity)s
    WHERE cart_id = %(cart_id)s AND product_id = %(product_id)s"""

# A checkout, in one transaction. What a statement gives are the parameters of the next ones, by their names.
HOLD_CUSTOMER = """
    SELECT first_name, last_name, strasse, plz, ort FROM customer
    WHERE customer_id = %(customer_id)s FOR NO KEY UPDATE"""

USED_KEY = """
    SELECT request_digest, answer FROM idempotency_key
    WHERE customer_id = %(customer_id)s AND key = %(key)s"""

CART_LINES = """
    SELECT array_agg(cart_item_id ORDER BY cart_item_id) AS items,
        array_agg(product_id ORDER BY cart_item_id) AS products,
        array_agg(quantity ORDER BY cart_item_id) AS quantities,
        array_agg(price ORDER BY cart_item_id) AS prices,
        sum(quantity * price) AS total, bool_and(quantity <= stock) AS enough
    FROM cart_item JOIN product USING (product_id) WHERE cart_id = %(cart_id)s"""

PLACE = """
    WITH placed AS (
        INSERT INTO "order" (customer_id, order_date, status, total_amount)
        VALUES (%(customer_id)s, (now() AT TIME ZONE 'UTC')::date, 'pending', %(total)s) RETURNING order_id
    ), lines AS (
        INSERT INTO order_item (order_id, product_id, quantity, price_per_unit)
        SELECT order_id, product_id, quantity, price
        FROM placed, unnest(%(products)s::integer[], %(quantities)s::integer[], %(prices)s::numeric[])
            WITH ORDINALITY AS line (product_id, quantity, price, position)
        ORDER BY position
    ), delivered AS (
        INSERT INTO delivery (order_id, first_name, last_name, strasse, plz, ort)
        SELECT order_id, %(first_name)s, %(last_name)s, %(strasse)s, %(plz)s, %(ort)s FROM placed
    ), begun AS (
        INSERT INTO order_history (order_id, status, at, by)
        SELECT order_id, 'pending', clock_timestamp(), 'customer' FROM placed
    )
    SELECT order_id FROM placed"""

# pgbench takes a colon before a letter for a variable: hence the replace().
ORDER_DOCUMENT = """
    SELECT json_build_object(
        'order_id', order_id, 'order_date', order_date, 'status', status, 'total_amount', total_amount::text,
        'items', (
            SELECT json_agg(json_build_object(
                'product_id', product_id, 'product_name', name, 'quantity', quantity,
                'price_per_unit', price_per_unit::text, 'subtotal', (quantity * price_per_unit)::text
            ) ORDER BY order_item_id)
            FROM order_item i JOIN product USING (product_id) WHERE i.order_id = o.order_id),
        'delivery', (
            SELECT json_build_object('first_name', first_name, 'last_name', last_name, 'strasse', strasse,
                'plz', plz, 'ort', ort, 'carrier', carrier, 'tracking_number', tracking_number)
            FROM delivery d WHERE d.order_id = o.order_id),
        'payment', NULL,
        'history', (
            SELECT json_agg(json_build_object('status', status, 'at', replace(
                to_char(h.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24.MI.SS"Z"'), '.', ':'), 'by', by
            ) ORDER BY order_history_id)
            FROM order_history h WHERE h.order_id = o.order_id)
    )::text AS document
    FROM "order" o WHERE order_id = %(order_id)s"""

USE_KEY = """
    INSERT INTO idempotency_key (customer_id, key, request_digest, answer)
    VALUES (%(customer_id)s, %(key)s, %(request_digest)s, %(document)s)"""

TAKE_LINES = """
    DELETE FROM cart_item USING unnest(%(items)s::integer[], %(quantities)s::integer[]) AS seen (item, number)
    WHERE cart_item_id = item AND quantity = number RETURNING cart_item_id"""

LOCK_STOCK = """
    SELECT FROM product WHERE product_id = ANY(%(products)s::integer[])
    ORDER BY product_id FOR NO KEY UPDATE"""

TAKE_STOCK = """
    UPDATE product SET stock = stock - number
    FROM unnest(%(products)s::integer[], %(quantities)s::integer[]) AS wanted (product, number)
    WHERE product_id = product AND stock >= number
    RETURNING product_id, price"""
