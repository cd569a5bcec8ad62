"""
needs: apt:python3 pip:aiohttp
took: `trust_env=True`
"""
import asyncio
import os

import aiohttp

BASE, OUT = os.environ["BASE"], os.environ["OUT"]


async def keep(name, answering):
    async with answering as answer:
        answer.raise_for_status()
        with open(os.path.join(OUT, name), "wb") as file:
            file.write(await answer.read())


async def main():
    async with aiohttp.ClientSession(trust_env=True) as session:
        await keep("json", session.get(BASE + "/api/json?page=2"))
        await keep("gzip", session.get(BASE + "/api/gzip"))
        await keep("post", session.post(BASE + "/api/items", json={"name": "Ada"}))
        await keep("redirect", session.get(BASE + "/api/redirect"))
        await keep("image", session.get(BASE + "/api/image.png"))


asyncio.run(main())
