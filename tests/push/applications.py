"""Applications with a producer at the top of their module, for web servers that load it and then fork."""

import asyncio
import os

import django.conf  # type: ignore[import-untyped]
import django.http  # type: ignore[import-untyped]
import django.urls  # type: ignore[import-untyped]
from asgiref.sync import async_to_sync
from django.core.handlers.wsgi import WSGIHandler  # type: ignore[import-untyped]
from fastapi import FastAPI
from flask import Flask
from litestar import Litestar, post

from tailrace.push import BlockingPusher, Pusher

URL = os.environ["PUSHED_URL"]
pusher, blocking = Pusher(URL), BlockingPusher(URL)
if os.environ.get("PUSHED_BEFORE"):
    asyncio.run(pusher.push("room:before", 0))
    blocking.push("room:before", 0)


@post("/rooms/{room:str}")
async def say(room: str) -> dict[str, bool]:
    job = await pusher.push(f"room:{room}", 1)
    return {"appended": await job.receipt(wait_s=5) is not None}


litestar = Litestar([say], on_shutdown=[pusher.aclose])
fastapi = FastAPI()


@fastapi.post("/rooms/{room}")
async def say_in_fastapi(room: str) -> dict[str, bool]:
    job = await pusher.push(f"room:{room}", 1)
    return {"appended": await job.receipt(wait_s=5) is not None}


flask = Flask(__name__)
flask_in_loops = Flask(__name__)


@flask.post("/rooms/<room>")
def say_in_flask(room: str) -> dict[str, bool]:
    return {"appended": blocking.push(f"room:{room}", 1).receipt(wait_s=5) is not None}


async def _say(room: str) -> bool:
    job = await pusher.push(f"room:{room}", 1)
    return await job.receipt(wait_s=5) is not None


@flask_in_loops.post("/rooms/<room>")
async def say_in_a_loop(room: str) -> dict[str, bool]:
    return {"appended": await _say(room)}


def say_in_django(_: django.http.HttpRequest, room: str) -> django.http.JsonResponse:
    job = async_to_sync(pusher.push)(f"room:{room}", 1)
    end = async_to_sync(job.receipt)(wait_s=5)
    return django.http.JsonResponse({"appended": end is not None}, status=201)


urlpatterns = [django.urls.path("rooms/<str:room>", say_in_django)]
if not django.conf.settings.configured:
    django.conf.settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="none")
    django.setup()
wsgi = WSGIHandler()
