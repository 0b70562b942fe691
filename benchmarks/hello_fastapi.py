"""A page of an API as many are: a parameter that is read, a model that is answered with."""

from fastapi import FastAPI
from pydantic import BaseModel

application = FastAPI()


class Item(BaseModel):
    name: str
    price: float
    tags: list[str]


@application.get("/")
async def item(price: float = 9.5) -> Item:
    return Item(name="Hello, World!", price=price, tags=["a", "b"])
