# The shop with Docker, and what a developer does in it; tests of every kind on its PostgreSQL.
. ../.ci/lib.sh
needs curl:curl
needs_docker
tidy() { down "$1"; }

docker compose down -v --rmi local
(cd .. && cd backend && docker compose up -d --wait)
uv run python -m tests.support.api_examples $url
state() {
    docker compose ps -q | xargs docker inspect -f '{{.Id}} {{.State.StartedAt}}'
    docker compose exec -T db pg_dump -U webshop_user --data-only --restrict-key=gate webshop_db
}
before=$(state)
(cd .. && cd backend && docker compose up -d)
[ "$before" = "$(state)" ] || fail 'a second up changes something'
docker compose ps
timeout 3 docker compose logs -f web || [ $? -eq 124 ]
docker compose exec web python manage.py migrate
docker compose exec web python manage.py showmigrations
docker compose exec web python manage.py shell -c 'assert Customer.objects.count() == 100'
docker compose exec web python manage.py createsuperuser --noinput --username staff --email staff@example.com
docker compose exec web python manage.py load_sample_data
docker compose exec web python manage.py shell -c \
    'from django.contrib.auth import authenticate; assert authenticate(username="admin", password="admin123")'
docker compose exec db psql -U webshop_user -d webshop_db -c 'SELECT count(*) FROM customer'

# Some of each file, to see that they run here: slow ones start servers of their own, and the step `tests` has each of the
# many values that one is given. All of those that another PostgreSQL, or another checkout, could answer differently.
docker compose exec web python manage.py test shop -m 'not slow and not parametrize'
docker compose exec web python manage.py test tests/catalog tests/database -m 'parametrize and not slow'
docker compose exec web python manage.py test tests/test_docs.py tests/test_schema.py tests/test_sql_files.py

# A saved file is served at once.
cat >>webshop/urls.py <<'END'
from django.http import HttpResponse
urlpatterns.append(path("saved/", lambda request: HttpResponse("served")))
END
wait_for 20 sh -c "curl -s $url/saved/ | grep -qx served"

# A field gets its migration, in a checkout of whichever user.
chown -R 12345:12345 .
before=$(ls shop/migrations)
docker compose exec web python manage.py makemigrations
[ "$before" = "$(ls shop/migrations)" ] || fail 'a migration is missing'
cat >>shop/models.py <<'END'
from django.db import models
Category.add_to_class("colour", models.CharField(max_length=20, default=""))
END
docker compose exec web python manage.py makemigrations
made=$(comm -13 <(echo "$before") <(ls shop/migrations))
[[ $made =~ ^[0-9]{4}_category_colour\.py$ ]] || fail "makemigrations made '$made'"
