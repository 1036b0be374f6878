"""Empty stand-ins for the CUDA libraries that PyPI's Linux torch links to.

PyPI has only a CUDA build of torch for x86_64 Linux. Its libraries name cuBLAS,
cuDNN, NCCL and others as needed at load time, although the CPU path never calls
them: about 1.8 GiB of downloads for nothing. This script compiles one small
shared library per missing name, which defines the symbols that torch's libraries
look up and nothing behind them (a call would crash; a CPU process makes none).

Run by the environment's own python: `python stand_ins.py` makes them beside
torch's libraries, `python stand_ins.py --remove` takes them away again.
It does not import torch. Needs gcc (or cc) and nm.
"""

import collections
import os
import pathlib
import re
import subprocess
import sys
import sysconfig

# soname -> (symbol version torch asks for, or None; prefix of unversioned names)
STAND_INS = {
    "libcublas.so.13": ("libcublas.so.13", None),
    "libcublasLt.so.13": ("libcublasLt.so.13", None),
    "libcudnn.so.9": ("libcudnn.so.9", None),
    "libcufft.so.12": ("libcufft.so.12", None),
    "libcusparse.so.12": ("libcusparse.so.12", None),
    "libcusparseLt.so.0": (None, "cusparseLt"),
    "libnccl.so.2": (None, "nccl"),
    "libnvrtc.so.13": ("libnvrtc.so.13", None),
    "libnvshmem_host.so.3": ("NVSHMEM", None),
}


def main():
    lib = pathlib.Path(sysconfig.get_paths()["platlib"]) / "torch" / "lib"
    if "--remove" in sys.argv:
        for soname in STAND_INS:
            (lib / soname).unlink(missing_ok=True)
        return
    wanted = collections.defaultdict(set)
    by_version = {v: s for s, (v, _) in STAND_INS.items() if v}
    prefixes = {p: s for s, (_, p) in STAND_INS.items() if p}
    for path in sorted(lib.glob("lib*torch*.so")):
        names = subprocess.run(
            ["nm", "-D", "--undefined-only", path], check=True, capture_output=True, text=True
        ).stdout
        for line in names.splitlines():
            symbol, _, version = line.split()[-1].partition("@")
            if version:
                soname = by_version.get(version.lstrip("@"))
            else:
                soname = next((s for p, s in prefixes.items() if symbol.startswith(p)), None)
            if soname and re.fullmatch(r"\w+", symbol):
                wanted[soname].add(symbol)
    for soname, (version, _) in STAND_INS.items():
        # Zeroed data rather than functions: enough for the loader, and a read of
        # one that is a variable finds zeros.
        source = "".join(f"long {s}[8];\n" for s in sorted(wanted[soname]))
        flags = [f"-Wl,-soname,{soname}"]
        script = lib / f"{soname}.map"
        if version:
            script.write_text(f"{version} {{ global: *; }};\n")
            flags.append(f"-Wl,--version-script,{script}")
        subprocess.run(
            [os.environ.get("CC", "gcc"), "-shared", "-fPIC", "-w", "-x", "c", "-", "-o", lib / soname, *flags],
            input=source,
            text=True,
            check=True,
        )
        script.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
