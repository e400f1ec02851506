"""Compressed DICOM: which transfer syntaxes the [dicom] extra reads, and that half a file is not a whole one."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels import get_decoder

from cxrlens.data.dicom_codecs import stored_values
from cxrlens.data.unreadable import UnreadableImage

gdcm = pytest.importorskip("gdcm", reason="the [dicom] extra is not installed")

# Every transfer syntax of pydicom's shipped files, with the sums of the values that a file holds.
READ = {
    "SC_rgb_jpeg_dcmtk.dcm": "JPEG Baseline (Process 1)",
    "JPGExtended.dcm": "JPEG Extended (Process 2 and 4)",
    "SC_rgb_jpeg_gdcm.dcm": "JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14 [Selection Value 1])",
    "MR_small_jpeg_ls_lossless.dcm": "JPEG-LS Lossless Image Compression",
    "JPEGLSNearLossless_16.dcm": "JPEG-LS Lossy (Near-Lossless) Image Compression",
    "MR_small_jp2klossless.dcm": "JPEG 2000 Image Compression (Lossless Only)",
    "JPEG2000.dcm": "JPEG 2000 Image Compression",
    "MR_small_RLE.dcm": "RLE Lossless",
}
DAMAGED = ("JPEG2000-embedded-sequence-delimiter.dcm",)  # refused by every codec


def bundled(name: str) -> Path:
    return Path(str(get_testdata_file(name, download=False)))


def shipped() -> dict[str, str]:
    """pydicom's own compressed files, by the name of their transfer syntax."""
    names = {}
    for path in sorted((Path(pydicom.__file__).parent / "data" / "test_files").glob("*.dcm")):
        if path.read_bytes()[128:132] != b"DICM":
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = dcmread(path, force=True, specific_tags=["Rows"])
        syntax = header.file_meta.get("TransferSyntaxUID")
        if syntax is not None and syntax.is_compressed and "Rows" in header and not syntax.is_deflated:
            names[path.name] = syntax.name
    return names


def test_the_table_names_every_compressed_syntax_of_the_shipped_files():
    assert {*shipped().values()} == {*READ.values()}


@pytest.mark.parametrize("name", READ)
def test_each_compressed_syntax_is_read(name):
    header = dcmread(bundled(name))
    assert header.file_meta.TransferSyntaxUID.name == READ[name]
    values = stored_values(header)
    assert values.shape[:2] == (header.Rows, header.Columns) and values.min() < values.max()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(shipped()))
def test_every_shipped_file_is_read_without_a_gpl_codec(name, monkeypatch):
    header = dcmread(bundled(name))
    decoder = get_decoder(header.file_meta.TransferSyntaxUID)
    if "JPEG" in header.file_meta.TransferSyntaxUID.name and "2000" not in header.file_meta.TransferSyntaxUID.name:
        selected = {plugin: function for plugin, function in decoder._available.items() if plugin != "pylibjpeg"}
        monkeypatch.setattr(decoder, "_available", selected)
    if name in DAMAGED:
        with pytest.raises(UnreadableImage, match="damaged"):
            stored_values(header)
    else:
        assert stored_values(header).size


@pytest.mark.parametrize("name", ["MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm"])
def test_lossless_copies_of_one_picture_agree_to_the_bit(name):
    assert np.array_equal(stored_values(dcmread(bundled(name))), dcmread(bundled("MR_small.dcm")).pixel_array)


def test_12_bits_of_jpeg_extended_keep_their_12_bits():
    values = stored_values(dcmread(bundled("JPGExtended.dcm")))
    assert values.dtype == np.uint16 and values.max() == 264, "8 bits end at 255"


@pytest.mark.parametrize("name", [name for name in READ if name != "MR_small_RLE.dcm"])
def test_half_of_the_compressed_data_is_refused(name):
    header = dcmread(bundled(name))
    frame = next(generate_frames(header.PixelData, number_of_frames=1))
    header.PixelData = encapsulate([frame[: len(frame) // 4 * 2]])
    with pytest.raises(UnreadableImage, match="damaged"):
        stored_values(header)


def test_zeros_in_place_of_the_second_half_are_refused():
    header = dcmread(bundled("MR_small_jp2klossless.dcm"))
    frame = next(generate_frames(header.PixelData, number_of_frames=1))
    selected = len(frame) // 4 * 2
    header.PixelData = encapsulate([frame[:selected] + bytes(len(frame) - selected)])
    with pytest.raises(UnreadableImage, match="damaged"):  # another codec gives a picture, so its word does not count
        stored_values(header)
