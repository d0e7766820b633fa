"""P3: a day's prints from CSV to enriched, tagged, committed rows.

Writes a synthetic trade_quote file (200 symbols, 40 contracts each, in time order over one session, with open interest
and a quote of every underlying each minute), then runs ``phenix import`` on it in a process of its own, as a user does.
``python bench/import.py ROWS`` measures another size than 1,000,000.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HEADER = (
    "symbol,expiration,strike,right,trade_timestamp,quote_timestamp,sequence,ext_condition1,ext_condition2,"
    "ext_condition3,ext_condition4,condition,size,exchange,price,bid_size,bid_exchange,bid,bid_condition,"
    "ask_size,ask_exchange,ask,ask_condition\r\n"
)
SYMBOLS = [f"{a}{b}Q" for a in "ABCDEFGHIJKLMNOPQRST" for b in "ABCDEFGHIJ"]
OPEN_MS, SESSION_MS = 34_200_000, 23_400_000


def stamp(ms: int) -> str:
    seconds, ms = divmod(ms, 1000)
    text = f"2024-11-04T{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{text}.{ms:03d}".rstrip("0") if ms else text


def write(folder: Path, rows: int) -> tuple[Path, Path, Path]:
    """The three files of a seeded day."""
    rng = random.Random(7)
    trades, interest, quotes = folder / "trades.csv", folder / "interest.csv", folder / "quotes.csv"
    contracts = []
    with interest.open("w", newline="") as file:
        file.write("symbol,expiration,strike,right,timestamp,open_interest\r\n")
        for symbol in SYMBOLS:
            for n in range(40):
                right = ("CALL", "PUT")[n % 2]
                contract = f"{symbol},2024-11-{(8, 15)[n % 4 // 2]:02d},{80 + n}.000,{right}"
                contracts.append((contract, 1.0 + n * 0.25))
                file.write(f"{contract},2024-11-04T06:30:04,{rng.randrange(5000)}\r\n")
    with quotes.open("w", newline="") as file:
        file.write(
            "timestamp,symbol,bid_size,bid_exchange,bid,bid_condition,ask_size,ask_exchange,ask,ask_condition\r\n"
        )
        for minute in range(390):
            for symbol in SYMBOLS:
                bid = 100 + minute % 7 / 100
                file.write(f"{stamp(OPEN_MS + minute * 60_000)},{symbol},1,1,{bid:.2f},0,1,1,{bid + 0.02:.2f},0\r\n")
    with trades.open("w", newline="") as file:
        file.write(HEADER)
        for i in range(rows):
            at = OPEN_MS + i * SESSION_MS // rows
            contract, price = contracts[int(rng.random() ** 2 * len(contracts))]
            bid = price + rng.randrange(20) / 100
            spread = rng.randrange(1, 20) / 100
            fill = bid + spread * rng.choice((0, 0.5, 1, 1.2))
            file.write(
                f"{contract},{stamp(at)},{stamp(at - rng.randrange(900))},{i * 17 - 900_000},255,255,255,255,"
                f"{rng.choice((18, 18, 18, 95, 125, 130))},{rng.randrange(1, 60)},{rng.choice((1, 5, 6, 22, 65))},"
                f"{fill:.2f},14,47,{bid:.2f},50,14,47,{bid + spread:.2f},50\r\n"
            )
    return trades, interest, quotes


def resident_mib(pid: int) -> int:
    """Memory of a process and its children that is resident now, pages they share counted in each; 0 when it ended."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    own = next((int(line.split()[1]) >> 10 for line in status.splitlines() if line.startswith("VmRSS")), 0)
    return own + sum(resident_mib(int(child)) for child in children)


def main() -> int:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory(prefix="phenix-bench-") as name:
        folder = Path(name)
        trades, interest, quotes = write(folder, rows)
        print(f"{trades.stat().st_size / 1e6:,.0f} MB written; importing", file=sys.stderr)
        store = folder / "flow.sqlite"
        command = [sys.executable, "-m", "phenix", "import", str(trades), "--open-interest", str(interest)]
        command += ["--underlying", str(quotes), "--store", f"sqlite:{store}", "--json"]
        started = time.perf_counter()
        memory: list[int] = []
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as done:
            while done.poll() is None:
                memory.append(resident_mib(done.pid))
                time.sleep(0.25)
            assert done.stdout is not None
            told = done.stdout.read()
        seconds = time.perf_counter() - started
        if done.returncode:
            return done.returncode
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        summary = json.loads(told)
        if summary["stored"] + summary["duplicates"] != rows:
            print(f"expected {rows} rows: {summary}", file=sys.stderr)
            return 1
        cpu = usage.ru_utime + usage.ru_stime
        stages = summary.pop("cpuSeconds")
        # What the importing process did not use its child did, which reads the files, and the start of both.
        stages = {"read and start": cpu - sum(stages.values()), **stages}
        written, size = usage.ru_oublock * 512, store.stat().st_size
        detail = {**summary, "wallSeconds": round(seconds, 2), "cpuSeconds": round(cpu, 2),
                  "cpuMicrosecondsPerPrint": {k: round(v / rows * 1e6, 2) for k, v in stages.items()},
                  "bytesPerRow": round(size / rows), "writtenBytesPerRow": round(written / rows),
                  "writeAmplification": round(written / size, 2), "peakMiB": usage.ru_maxrss >> 10,
                  "residentMiBByTenth": [memory[len(memory) * tenth // 10] for tenth in range(1, 10)]}  # fmt: skip
        what = f"durable import of {rows:,} prints: parsed, enriched, tagged, indexed"
        print(
            json.dumps(
                [{"id": "P3", "what": what, "value": round(rows / seconds), "unit": "prints/s", "detail": detail}]
            )
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
