"""The page's training as a program: `python rival_page.py {torch,wasmtime,chromium} THREADS`.

One update on 100 new latents and one on 100 of the memory, by PyTorch's plain layers, or by the page's kernel in one of
its two engines.
"""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

import torch
from torch.nn import functional as F
from workload import CHROMIUM, serve

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))
from lr_core import models  # noqa: E402
from trainer.kernel import BINARY, Kernel  # noqa: E402
from trainer.offered import MEMORIES, NEW, RATE, data_file  # noqa: E402

PAIRS = 10  # of updates, in a round
MEMORY = MEMORIES[-1]
PAGE = """async (binary) => {
  const bytes = Uint8Array.from(atob(binary), (c) => c.charCodeAt(0));
  const { instance } = await WebAssembly.instantiate(bytes, {});
  globalThis.kernel = instance.exports;
}"""
FILL = """([what, values]) => {
  const type = what === 3 ? Uint8Array : Float32Array;
  new type(kernel.memory.buffer, kernel.memory_of(what), values.length).set(values);
}"""


def main(engine: str, threads: int) -> None:
    """Train until standard input ends."""
    torch.set_num_threads(threads)
    kernel = Kernel()
    kernel.load(data_file("mnist"))
    kernel.begin(0)

    def by_kernel() -> int:
        for _ in range(PAIRS):
            kernel.learn(NEW, MEMORY, 0, RATE)
        return 100 * PAIRS

    _, network = models.build(0)
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE, momentum=0.9)
    latents, labels = (
        torch.from_numpy(kernel.rows.copy()).view(-1, 1, 6, 6),
        torch.from_numpy(kernel.label.copy()).long(),
    )
    rounds = count()

    def by_torch() -> int:
        for _ in range(PAIRS):
            new = 100 * next(rounds) % NEW
            for begin in (new, NEW + new):
                optimizer.zero_grad()
                F.nll_loss(network(latents[begin : begin + 100]), labels[begin : begin + 100]).backward()
                optimizer.step()
        return 100 * PAIRS

    if engine != "chromium":
        serve(by_torch if engine == "torch" else by_kernel)
        return

    import base64

    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        page = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"]).new_page()
        page.evaluate(PAGE, base64.b64encode(BINARY.read_bytes()).decode())
        for what, values in ((0, kernel.state), (2, kernel.rows), (3, kernel.label)):
            page.evaluate(FILL, [what, values.ravel().tolist()])
        page.evaluate("kernel.begin(0)")

        def in_page() -> int:
            page.evaluate(f"for (let i = 0; i < {PAIRS}; i++) kernel.learn({NEW}, {MEMORY}, 0, {RATE})")
            return 100 * PAIRS

        serve(in_page)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
