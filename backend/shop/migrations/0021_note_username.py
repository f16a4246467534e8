"""Who wrote a note by the name that a correction of stock has for it: `by` is a kind of actor elsewhere."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("shop", "0020_search_in_order")]

    operations = [migrations.RenameField("ordernote", "by", "username")]
