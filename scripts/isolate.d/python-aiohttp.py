# name: aiohttp without trust_env
"""
needs: apt:python3 pip:aiohttp
"""
import asyncio
import os

import aiohttp


async def main():
    async with aiohttp.ClientSession() as session:
        async with session.get(os.environ["BASE"] + "/orders") as answer:
            print(await answer.text())


asyncio.run(main())
