#!/bin/sh
# What docs/PAYING.md shows, in one go, beside a shop with SHOP_PAYMENT=test: sh docs/pay.sh
set -eu

shop=${SHOP:-http://localhost:8000}
api=$shop/shop/api
json='Content-Type: application/json'
member() { sed -n "s/.*\"$1\": *\"\{0,1\}\([^\",}]*\).*/\1/p"; }

answer=$(curl -sS "$api/customer/" -H "$json" -d '{
  "first_name": "Grete", "last_name": "Hermann", "email": "grete@example.com", "password": "no hidden variables",
  "strasse": "Contrescarpe 8", "plz": "28203", "ort": "Bremen"}')
grete=$api/customer/$(echo "$answer" | member customer_id)
answer=$(curl -sS "$api/token/" -H "$json" -d '{"email": "grete@example.com", "password": "no hidden variables"}')
bearer="Authorization: Bearer $(echo "$answer" | member access)"
curl -sS "$grete/cart/items/" -H "$bearer" -H "$json" -d '{"product_id": 1, "quantity": 1}'
answer=$(curl -sS "$grete/orders/" -H "$bearer" -H "$json" -H "Idempotency-Key: first" -d '{"expected_total": "235.99"}')
order=$(echo "$answer" | member order_id)

answer=$(curl -sS "$grete/orders/$order/payment/" -H "$bearer" -H "$json" -d '{}')
echo "$answer"
page=$(echo "$answer" | member url)
curl -sS -o /dev/null "$shop$page" -d outcome=paid
curl -sS "$grete/orders/$order/payment/" -H "$bearer"
curl -sS "$grete/orders/$order/" -H "$bearer"

answer=$(curl -sS "$api/token/" -H "$json" -d '{"username": "admin", "password": "admin123"}')
staff="Authorization: Bearer $(echo "$answer" | member access)"
curl -sS "$api/order/$order/status/" -H "$staff" -H "$json" \
  -d '{"status": "shipped", "carrier": "DHL", "tracking_number": "JJD000390008"}'
