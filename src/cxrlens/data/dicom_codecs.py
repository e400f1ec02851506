"""Decodes the stored values of a DICOM file: chooses the codec, and names the package to install where there is none.

pydicom tries all codecs until one returns an array. Some return one for a truncated file, so this module uses only the
first codec that supports the transfer syntax: GDCM (python-gdcm) where it is installed, which refuses truncated files.
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
PREFERENCE = ("gdcm", "gdcm_12_bits", "pydicom", "pyjpegls", "pillow", "pylibjpeg")

# `add_plugin` needs this and `is_available` in the module of a decoder.
DECODER_DEPENDENCIES = {JPEGExtended12Bit: ("gdcm>=3.0.10",)}


def is_available(uid: str) -> bool:
    """Whether the decoder of this module can read a transfer syntax, given by its UID."""
    try:
        import gdcm  # noqa: F401
    except ImportError:
        return False
    return uid in DECODER_DEPENDENCIES


def stored_values(header: Dataset) -> np.ndarray:
    """Decodes the stored values, integer [H, W] or [H, W, 3], without bits that are not part of the image.

    Raises:
        UnreadableImage: the pixels are damaged, or no codec for them is installed.
    """
    syntax = UID(header.file_meta.TransferSyntaxUID)
    try:
        # pixel_array cuts off old overlays above the stored bits and keeps the sign
        return pixel_array(header, decoding_plugin=_plugin(syntax, header))
    except Exception as error:
        raise _decoding_error(syntax, error) from error


def _plugin(syntax: UID, header: Dataset) -> str:
    """The name of the codec to use; "" leaves the choice to pydicom."""
    try:
        available = get_decoder(syntax).available_plugins
    except NotImplementedError:
        return ""
    if syntax == JPEGExtended12Bit and int(header.get("BitsStored") or 8) > 8:
        available = tuple(name for name in available if name not in ("gdcm", "pillow"))  # they read 8 bits only
    return next((name for name in PREFERENCE if name in available), "")


def _decoding_error(syntax: UID, error: Exception) -> UnreadableImage:
    message = " ".join(str(error).split())[:160]
    if not syntax.is_compressed or syntax == DeflatedExplicitVRLittleEndian:
        return UnreadableImage(f"damaged or truncated DICOM: {message}")
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        return UnreadableImage(f"no codec is known for DICOM compressed as {syntax.name}")
    install = f"DICOM compressed as {syntax.name} needs a codec: {INSTALL}"
    if not decoder.is_available:
        return UnreadableImage(install)
    if decoder.missing_dependencies and not {"gdcm", "pylibjpeg"} & set(decoder.available_plugins):
        return UnreadableImage(f"{install} ({message})")  # Pillow's codec is installed, but reads 8 bits only
    reason = "its pixels cannot be decoded" if "NoneType" in message else message  # GDCM's way to refuse
    return UnreadableImage(f"damaged {syntax.name} in a DICOM: {reason}")


def _decode_frame(src: bytes, runner: DecodeRunner) -> bytes:
    """Decodes a grey frame of 12-bit JPEG Extended with GDCM, which pydicom's own GDCM decoder does not."""
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
    stored = runner.bits_stored  # also as bits allocated: with 16, GDCM tries its 8-bit decoder first and warns
    image.SetPixelFormat(gdcm.PixelFormat(1, stored, stored, stored - 1, runner.pixel_representation))
    buffer = image.GetBuffer()
    if buffer is None:
        raise ValueError("its pixels cannot be decoded")
    runner.set_option("bits_allocated", 16)
    return buffer.encode("utf-8", "surrogateescape")


JPEGExtended12BitDecoder.add_plugin("gdcm_12_bits", (__name__, "_decode_frame"))
