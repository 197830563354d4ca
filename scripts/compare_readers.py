"""Writes TIFF files of every layout with tifffile, reads them with our reader and with tifffile, and compares: samples,
pixel size, positions. A layout that we refuse has to be refused in words. Prints a table in Markdown; exit 1 when a
file is read otherwise than it is written.

    compare_readers.py METAPHASED_FIT [FOLDER]

FOLDER: further files (.tif, .tiff) to compare with what tifffile reads.
"""
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile
from ome_types import from_tiff

H, W = 53, 67
RANDOM = np.random.default_rng(7)


def smooth(bits, channels=0):
    """A picture with gradients and noise, so that predictors and compression have something to do."""
    y, x = np.mgrid[0:H, 0:W]
    base = (np.sin(x / 9) + np.cos(y / 7) + 2) / 4
    picture = base * (2**bits - 1) * 0.9 + RANDOM.integers(0, 2 ** max(1, bits - 4), (H, W))
    kind = np.uint8 if bits <= 8 else np.uint16
    picture = np.clip(picture, 0, 2**bits - 1).astype(kind)
    if channels:
        return np.stack([picture, picture[::-1], picture[:, ::-1]][:channels], axis=-1)
    return picture


def files(folder):
    """Writes the files; gives name -> (expected pages, or None when a refusal is right)."""
    expected = {}

    def write(name, data, pages=None, **options):
        # Codecs that this build of imagecodecs lacks are no fault of ours.
        try:
            tifffile.imwrite(folder / f"{name}.tif", data, **options)
        except (ValueError, RuntimeError, KeyError) as error:
            print(f"not written: {name}: {error}", file=sys.stderr)
            return
        expected[f"{name}.tif"] = pages if pages is not None else [data]

    compressions = [None, "lzw", "zlib", "zstd", "packbits"]
    for compression, bits, predictor, layout in itertools.product(compressions, (8, 16), (False, True), ("strips", "tiles")):
        if predictor and compression in (None, "packbits"):
            continue
        shape = {"rowsperstrip": 10} if layout == "strips" else {"tile": (32, 48)}
        name = f"grey{bits}-{compression}-{'predictor-' if predictor else ''}{layout}"
        write(name, smooth(bits), photometric="minisblack", compression=compression, predictor=predictor, **shape)
    # Whether the last codes of a tile meet the end of its bytes depends on what it shows.
    for number in range(12):
        tile = {"compression": "lzw", "tile": (32, 48)}
        write(f"lzw-tiles-grey8-{number}", smooth(8), photometric="minisblack", **tile)
        write(f"lzw-tiles-grey16-{number}", smooth(16), photometric="minisblack", byteorder="<>"[number % 2], **tile)
        write(f"lzw-tiles-rgb8-{number}", smooth(8, 3), photometric="rgb", predictor=number % 2 == 0, **tile)
        planes = smooth(8, 3)
        write(
            f"lzw-tiles-planes-{number}", np.moveaxis(planes, -1, 0), [planes], photometric="rgb",
            planarconfig="separate", **tile,
        )
        white = smooth(8)
        write(f"lzw-tiles-white-is-zero-{number}", white, [255 - white], photometric="miniswhite", **tile)
    for order, bits in itertools.product("<>", (8, 16)):
        write(f"order-{'little' if order == '<' else 'big'}-{bits}", smooth(bits), photometric="minisblack", byteorder=order)
    write("bigtiff", smooth(16), photometric="minisblack", bigtiff=True)
    for bits in (8, 16):
        picture = smooth(bits)
        write(f"white-is-zero-{bits}", picture, [(2**bits - 1) - picture], photometric="miniswhite")
    for compression, planar in itertools.product((None, "lzw", "zlib"), ("contig", "separate")):
        picture = smooth(8, 3)
        data = picture if planar == "contig" else np.moveaxis(picture, -1, 0)
        write(f"rgb8-{compression}-{planar}", data, [picture], photometric="rgb", planarconfig=planar, compression=compression)
        write(
            f"rgb8-{compression}-{planar}-predictor", data, [picture], photometric="rgb", planarconfig=planar,
            compression="zlib", predictor=True,
        )
    ramp = np.repeat((np.arange(256, dtype=np.uint16) * 257)[None], 3, axis=0)
    write("palette-grey", smooth(8), photometric="palette", colormap=ramp)
    for number in range(4):
        write(f"lzw-tiles-palette-{number}", smooth(8), photometric="palette", colormap=ramp, compression="lzw", tile=(32, 48))
    pair = np.stack([smooth(8), smooth(8)[::-1]])
    write("two-pages", pair, list(pair), photometric="minisblack")
    data = np.stack([smooth(16), smooth(16)[::-1], smooth(16)[:, ::-1]])
    write("imagej-stack", data, list(data), imagej=True, metadata={"axes": "ZYX", "unit": "um"}, resolution=(10, 10))
    colour = smooth(8, 3)
    opaque = np.dstack([colour, np.full((H, W), 255, np.uint8)])
    write("rgb8-alpha", opaque, [colour], photometric="rgb", extrasamples=["unassalpha"])
    for name, data in (
        ("int8", smooth(8).astype(np.int8)), ("int16", smooth(16).astype(np.int16)), ("uint32", smooth(16).astype(np.uint32)),
        ("float32", smooth(16).astype(np.float32)), ("float16", smooth(8).astype(np.float16)),
        ("bilevel", smooth(8) > 128), ("complex", smooth(8).astype(np.complex64)),
    ):
        write(f"refused-{name}", data, [], photometric="minisblack")
        expected[f"refused-{name}.tif"] = None
    return expected


def ome(folder):
    """OME-TIFF files with pixel sizes and positions in several units."""
    for number, (unit, factor) in enumerate((("µm", 1), ("nm", 1000), ("mm", 0.001))):
        with tifffile.TiffWriter(folder / f"ome-{number}.ome.tif") as tif:
            for place in range(3):
                tif.write(
                    smooth(8), photometric="minisblack", metadata={
                        "axes": "YX", "PhysicalSizeX": 0.1 * factor, "PhysicalSizeXUnit": unit,
                        "PhysicalSizeY": 0.1 * factor, "PhysicalSizeYUnit": unit,
                        "Plane": {
                            "PositionX": [(1000 + place) * factor], "PositionXUnit": [unit],
                            "PositionY": [-(2000 + place) * factor], "PositionYUnit": [unit],
                        },
                    },
                )
    data = np.stack([smooth(16), smooth(16)[::-1]])
    tifffile.imwrite(folder / "ome-z.ome.tif", data, photometric="minisblack", metadata={
        "axes": "ZYX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25, "SignificantBits": 12,
        "Plane": {"PositionX": [5.0, 5.0], "PositionXUnit": ["µm", "µm"], "PositionY": [6.0, 6.0], "PositionYUnit": ["µm", "µm"]},
    })
    tifffile.imwrite(folder / "ome-channels.ome.tif", np.stack([smooth(8), smooth(8)[::-1]]), photometric="minisblack", metadata={
        "axes": "CYX", "Channel": {"Name": ["DAPI", "FITC"]}, "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5,
    })


UNITS = {"µm": 1, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6, "Å": 1e-4}


def ome_facts(path):
    """What ome-types says of every plane, in the order of the pages: micrometres a pixel, position in micrometres."""
    facts = []
    for image in from_tiff(path).images:
        pixels = image.pixels
        size = pixels.physical_size_x and pixels.physical_size_x * UNITS[pixels.physical_size_x_unit.value]
        places = {(p.the_z, p.the_c, p.the_t): p for p in pixels.planes}
        for t, c, z in itertools.product(range(pixels.size_t), range(pixels.size_c), range(pixels.size_z)):
            plane = places.get((z, c, t))
            where = None
            if plane is not None and plane.position_x is not None:
                where = [plane.position_x * UNITS[plane.position_x_unit.value], plane.position_y * UNITS[plane.position_y_unit.value]]
            facts.append((size, where))
    return facts


def ours(program, folder):
    """Our pages by file."""
    found = {}
    with tempfile.TemporaryDirectory() as out:
        lines = subprocess.run([program, "measure", "pictures", folder, out], check=True, capture_output=True, text=True).stdout
        for line in map(json.loads, lines.splitlines()):
            if "data" in line:
                width, height = line["size"]
                kind = {"mono8": np.uint8, "mono16": np.dtype("<u2"), "rgb8": np.uint8}[line["kind"]]
                shape = (height, width, 3) if line["kind"] == "rgb8" else (height, width)
                line["pixels"] = np.fromfile(Path(out) / line["data"], kind).reshape(shape)
            found.setdefault(line["file"], []).append(line)
    return found


def judge(pages, expected):
    """A fault in words, or none."""
    if expected is None:
        wrong = [p for p in pages if "error" not in p]
        return "read, and should be refused" if wrong else None
    errors = [p["error"] for p in pages if "error" in p]
    if errors:
        return f"refused: {errors[0]}"
    if len(pages) != len(expected):
        return f"{len(pages)} pages, {len(expected)} written"
    for number, (page, want) in enumerate(zip(pages, expected)):
        got = page["pixels"]
        if got.shape != want.shape:
            return f"page {number}: shape {got.shape}, written {want.shape}"
        difference = int(np.abs(got.astype(int) - want.astype(int)).max())
        if difference:
            return f"page {number}: samples differ by up to {difference}"
    return None


def main():
    program = sys.argv[1]
    faults, checked = [], 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        expected = files(folder)
        ome(folder)
        for path in map(Path, sys.argv[2:3]):
            for extra in sorted(p for p in path.rglob("*") if p.suffix.lower() in (".tif", ".tiff")):
                shutil.copy(extra, folder / f"extra-{extra.name}")
        found = ours(program, folder)
        print("| file | pages | outcome |\n|---|---|---|")
        for path in sorted(folder.iterdir()):
            pages = found.get(path.name, [])
            if path.name in expected:
                fault = judge(pages, expected[path.name])
            elif path.name.startswith("extra-"):
                try:
                    fault = judge(pages, [p.asarray() for p in tifffile.TiffFile(path).pages])
                except Exception as error:  # tifffile refuses it, so nothing can be compared.
                    fault = None
                    print(f"not compared: {path.name}: {error}", file=sys.stderr)
            else:
                fault = judge(pages, [p.asarray() for p in tifffile.TiffFile(path).pages])
            if fault is None and path.name.startswith("ome-"):
                for number, (page, (size, where)) in enumerate(zip(pages, ome_facts(path), strict=True)):
                    if size and not np.isclose(page["um_per_px"] or 0, size, rtol=1e-6):
                        fault = f"page {number}: {page['um_per_px']} um a pixel, ome-types says {size}"
                    elif where and not (page["stage_um"] and np.allclose(page["stage_um"], where)):
                        fault = f"page {number}: at {page['stage_um']}, ome-types says {where}"
            checked += 1
            outcome = "refused in words" if fault is None and expected.get(path.name, 0) is None else fault or "the same"
            print(f"| {path.name} | {len(pages)} | {outcome} |")
            if fault and not path.name.startswith("extra-"):
                faults.append(f"{path.name}: {fault}")
    print(f"\n{checked} files, {len(faults)} read otherwise than written")
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
