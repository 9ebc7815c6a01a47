"""The site around the shop: settings and the table of its pages."""
