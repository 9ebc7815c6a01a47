"""A shop of one page, in Django, laid out as ``django-admin startproject`` does."""
