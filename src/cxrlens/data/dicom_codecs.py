"""Stored values of a DICOM file: which codec decodes its compressed pixels, and what to install where there is none.

pydicom asks every codec in turn until one gives an array. Some give one for half a file, so the first that is able to
read the transfer syntax decides here: GDCM (python-gdcm) where it is installed, which refuses what is truncated.
"""

from __future__ import annotations

import numpy as np
from pydicom import Dataset
from pydicom.pixels import get_decoder, pixel_array
from pydicom.pixels.decoders import JPEGExtended12BitDecoder
from pydicom.pixels.decoders.base import DecodeRunner
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, JPEGExtended12Bit

from cxrlens.data.unreadable import UnreadableImage

INSTALL = "pip install cxrlens[dicom]"
FIRST = ("gdcm", "gdcm_12_bits", "pydicom", "pyjpegls", "pillow", "pylibjpeg")

# `add_plugin` looks for these two in the module that holds a decoder.
DECODER_DEPENDENCIES = {JPEGExtended12Bit: ("gdcm>=3.0.10",)}


def is_available(uid: str) -> bool:
    """Whether the decoder of this module can read a transfer syntax."""
    try:
        import gdcm  # noqa: F401
    except ImportError:
        return False
    return uid in DECODER_DEPENDENCIES


def stored_values(header: Dataset) -> np.ndarray:
    """Integer [H, W] or [H, W, 3], without the bits that are not the picture's.

    Raises:
        UnreadableImage: the pixels are damaged, or no codec for them is installed.
    """
    syntax = UID(header.file_meta.TransferSyntaxUID)
    try:
        # which cuts off old overlays above the stored bits and keeps the sign
        return pixel_array(header, decoding_plugin=_plugin(syntax, header))
    except Exception as error:
        raise _undecoded(syntax, error) from error


def _plugin(syntax: UID, header: Dataset) -> str:
    """The codec that decides; "" leaves the choice to pydicom."""
    try:
        able = get_decoder(syntax).available_plugins
    except NotImplementedError:
        return ""
    if syntax == JPEGExtended12Bit and int(header.get("BitsStored") or 8) > 8:
        able = tuple(name for name in able if name not in ("gdcm", "pillow"))  # they know 8 bits only
    return next((name for name in FIRST if name in able), "")


def _undecoded(syntax: UID, error: Exception) -> UnreadableImage:
    said = " ".join(str(error).split())[:160]
    if not syntax.is_compressed or syntax == DeflatedExplicitVRLittleEndian:
        return UnreadableImage(f"damaged or truncated DICOM: {said}")
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        return UnreadableImage(f"no codec is known for DICOM compressed as {syntax.name}")
    install = f"DICOM compressed as {syntax.name} needs a codec: {INSTALL}"
    if not decoder.is_available:
        return UnreadableImage(install)
    if decoder.missing_dependencies and not {"gdcm", "pylibjpeg"} & set(decoder.available_plugins):
        return UnreadableImage(f"{install} ({said})")  # Pillow's codec is there, but knows 8 bits only
    reason = "its pixels cannot be decoded" if "NoneType" in said else said  # how GDCM refuses
    return UnreadableImage(f"damaged {syntax.name} in a DICOM: {reason}")


def _decode_frame(src: bytes, runner: DecodeRunner) -> bytes:
    """One grey frame of JPEG Extended with 12 bits, which pydicom's own use of GDCM leaves out."""
    import gdcm

    if runner.samples_per_pixel != 1:
        raise NotImplementedError("JPEG Extended of 12 bits in colour")
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(src)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((runner.columns, runner.rows, 1))
    image.SetDataElement(element)
    grey = gdcm.PhotometricInterpretation.GetPIType(runner.photometric_interpretation)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(grey))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str.__str__(JPEGExtended12Bit))))
    stored = runner.bits_stored  # as bits allocated too: told 16, GDCM tries its decoder of 8 bits first, and complains
    image.SetPixelFormat(gdcm.PixelFormat(1, stored, stored, stored - 1, runner.pixel_representation))
    buffer = image.GetBuffer()
    if buffer is None:
        raise ValueError("its pixels cannot be decoded")
    runner.set_option("bits_allocated", 16)
    return buffer.encode("utf-8", "surrogateescape")


JPEGExtended12BitDecoder.add_plugin("gdcm_12_bits", (__name__, "_decode_frame"))
