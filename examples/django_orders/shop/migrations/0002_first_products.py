"""What the shop sells on its first day."""

from django.db import migrations

PRODUCTS = (
    ("Copper kettle", 12_900, 12),
    ("Green tea, 100 g", 890, 200),
    ("Samovar", 89_900, 3),
    ("Tea towel", 1_250, 75),
    ("Teapot", 3_490, 40),
)


def add_products(apps, schema_editor):
    product = apps.get_model("shop", "Product")
    for name, price_cents, stock in PRODUCTS:
        product.objects.create(name=name, price_cents=price_cents, stock=stock)


class Migration(migrations.Migration):
    dependencies = (("shop", "0001_initial"),)

    operations = (migrations.RunPython(add_products, migrations.RunPython.noop),)
