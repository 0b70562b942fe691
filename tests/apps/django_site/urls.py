"""The site's addresses."""

from django.contrib import admin
from django.urls import path

from django_site import views

urlpatterns = [
    path("", views.index),
    path("form/", views.form),
    path("stream/", views.stream),
    path("file/", views.file),
    path("upload/", views.upload),
    path("admin/", admin.site.urls),
]
