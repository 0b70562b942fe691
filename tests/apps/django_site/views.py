"""One view for each way Django hands a response or a body to its server."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from django import forms
from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.csrf import csrf_exempt


class NameForm(forms.Form):
    name = forms.CharField(max_length=40)


def index(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"hello {request.session.get('name', 'nobody')}", content_type="text/plain")


def form(request: HttpRequest) -> HttpResponse:
    """A form with CSRF protection that keeps the name in the session."""
    name_form = NameForm(request.POST or None)
    if request.method == "POST" and name_form.is_valid():
        request.session["name"] = name_form.cleaned_data["name"]
        return redirect("/")
    return render(request, "form.html", {"form": name_form})


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def lines() -> Iterator[str]:
        for number in range(1000):
            yield f"line {number}\n"

    return StreamingHttpResponse(lines(), content_type="text/plain")


def file(request: HttpRequest) -> FileResponse:
    return FileResponse(Path(settings.STATE, "file.bin").open("rb"), as_attachment=True)


@csrf_exempt
def upload(request: HttpRequest) -> HttpResponse:
    """Size and SHA-256 of an uploaded file of any size."""
    digest = hashlib.sha256()
    uploaded = request.FILES["file"]
    for block in uploaded.chunks():
        digest.update(block)
    return HttpResponse(f"{uploaded.size} {digest.hexdigest()}", content_type="text/plain")
