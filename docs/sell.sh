#!/bin/sh
# What docs/SELLING.md shows, in one go: sh docs/sell.sh, or SHOP=https://shop.example sh docs/sell.sh
set -eu

api=${SHOP:-http://localhost:8000}/shop/api
json='Content-Type: application/json'
member() { sed -n "s/.*\"$1\": *\"\{0,1\}\([^\",}]*\).*/\1/p"; }

answer=$(curl -sS "$api/customer/" -H "$json" -d '{
  "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com", "password": "an engine of numbers",
  "strasse": "Hauptstraße 1", "plz": "01067", "ort": "Dresden"}')
echo "$answer"
ada=$api/customer/$(echo "$answer" | member customer_id)

answer=$(curl -sS "$api/token/" -H "$json" -d '{"email": "ada@example.com", "password": "an engine of numbers"}')
echo "$answer"
bearer="Authorization: Bearer $(echo "$answer" | member access)"

curl -sS "$ada/cart/items/" -H "$bearer" -H "$json" -d '{"product_id": 1, "quantity": 1}'
curl -sS "$ada/cart/items/" -H "$bearer" -H "$json" -d '{"product_id": 2, "quantity": 1}'

curl -sS -X PUT "$ada/cart/items/1/" -H "$bearer" -H "$json" -d '{"quantity": 2}'
curl -sS -X DELETE "$ada/cart/items/2/" -H "$bearer"
curl -sS "$ada/cart/items/" -H "$bearer"

answer=$(curl -sS "$ada/orders/" -H "$bearer" -H "$json" -H "Idempotency-Key: first" -d '{"expected_total": "471.98"}')
echo "$answer"
order=$(echo "$answer" | member order_id)

answer=$(curl -sS "$api/token/" -H "$json" -d '{"username": "admin", "password": "admin123"}')
staff="Authorization: Bearer $(echo "$answer" | member access)"
curl -sS "$api/order/$order/status/" -H "$staff" -H "$json" \
  -d '{"status": "shipped", "carrier": "DHL", "tracking_number": "JJD000390007"}'

curl -sS "$ada/orders/$order/" -H "$bearer"
curl -sS -X POST "$ada/orders/$order/cancel/" -H "$bearer"

curl -sS "$ada/cart/items/" -H "$bearer" -H "$json" -d '{"product_id": 2, "quantity": 1}'
answer=$(curl -sS "$ada/orders/" -H "$bearer" -H "$json" -H "Idempotency-Key: second" -d '{
  "expected_total": "438.67",
  "address": {"first_name": "Charles", "last_name": "Babbage", "strasse": "Kai 2", "plz": "20457", "ort": "Hamburg"}}')
order=$(echo "$answer" | member order_id)
curl -sS -X POST "$ada/orders/$order/cancel/" -H "$bearer"

curl -sS -X DELETE "$ada/cart/" -H "$bearer"
