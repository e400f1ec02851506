"""Reading DICOM: polarity, bits, rescaling, windows, and what is no frontal radiograph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, FileMetaDataset, config, dcmread
from pydicom.data import get_testdata_file
from pydicom.dataelem import RawDataElement
from pydicom.pixels import get_decoder
from pydicom.pixels.processing import apply_windowing
from pydicom.tag import Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, JPEGLSLossless, RLELossless

from cxrlens.data import dicom as dicom_module
from cxrlens.data.dicom import apply_window
from cxrlens.data.images import UnreadableImage, read_image

RAMP = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)


@pytest.fixture
def made(tmp_path: Path):
    """Writes a radiograph of `stored` values; keywords are header elements, None takes one away."""

    def write(stored: np.ndarray = RAMP, syntax: str = ExplicitVRLittleEndian, **elements) -> Path:
        header = Dataset()
        header.file_meta = FileMetaDataset()
        header.file_meta.TransferSyntaxUID = syntax
        header.SOPClassUID, header.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", "1.2.3"
        header.Modality, header.PhotometricInterpretation = "CR", "MONOCHROME2"
        header.SamplesPerPixel, (header.Rows, header.Columns) = 1, stored.shape
        header.BitsAllocated = 8 * stored.dtype.itemsize
        header.BitsStored = 12 if stored.dtype.itemsize == 2 else 8
        header.PixelRepresentation = int(stored.dtype.kind == "i")
        header.PixelData = stored.tobytes()
        for name, value in elements.items():
            setattr(header, name, value)
        header.HighBit = elements.get("HighBit", header.BitsStored - 1)
        header.save_as(tmp_path / "a.dcm", enforce_file_format=True)
        return tmp_path / "a.dcm"

    return write


@pytest.fixture
def written_as(made):
    """A radiograph whose elements of numbers as text (DS) hold any text, as careless writers leave them."""

    def write(**texts: str) -> Path:
        header = dcmread(made())
        for name, text in texts.items():
            raw = text.encode()
            raw += b" " * (len(raw) % 2)
            header[name] = RawDataElement(Tag(name), "DS", len(raw), raw, 0, False, True)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(config.settings, "_writing_validation_mode", config.IGNORE)
            header.save_as(header.filename)
        return Path(header.filename)

    return write


def bundled(name: str) -> Path:
    path = get_testdata_file(name, download=False)
    assert path, name
    return Path(str(path))


def refusal(path: Path) -> str:
    with pytest.raises(UnreadableImage) as caught:
        read_image(path)
    return caught.value.reason


def test_12_bits_in_16_without_a_window_are_stretched_over_what_is_there(made):
    decoded = read_image(made())
    assert np.allclose(decoded.pixels[0], RAMP / 4095) and decoded.pixels.dtype == np.float32
    assert decoded.steps == ("DICOM without a display window, darkest value shown black, brightest white (0 to 4095)",)
    assert {**decoded.facts, "bytes": 0} == {
        "width": 64,
        "height": 64,
        "mode": "MONOCHROME2",
        "format": "DICOM",
        "bits": 12,
        "bytes": 0,
    }


def test_monochrome1_is_inverted(made):
    decoded = read_image(made(PhotometricInterpretation="MONOCHROME1"))
    assert np.allclose(decoded.pixels[0], 1 - RAMP / 4095) and decoded.steps[-1] == "MONOCHROME1 inverted"


def test_8_bits_stay_8_bits(made):
    stored = np.random.default_rng(0).integers(10, 200, (64, 64), dtype=np.uint8)
    decoded = read_image(made(stored))
    assert np.array_equal(decoded.pixels[0], stored / np.float32(255)) and decoded.steps == ()


def test_signed_values_keep_their_order(made):
    stored = (RAMP.astype(np.int16) - 2048).astype(np.int16)
    assert np.allclose(read_image(made(stored)).pixels[0], RAMP / 4095)


def test_an_overlay_in_the_bits_above_is_no_picture(made):
    for stored in (RAMP | 0xF000, (RAMP | 0xF000).astype(np.int16)):
        selected = RAMP if stored.dtype.kind == "u" else np.where(RAMP > 2047, RAMP.astype(int) - 4096, RAMP)
        expected = (selected - float(selected.min())) / 4095
        assert np.allclose(read_image(made(stored)).pixels[0], expected, atol=1e-6)


def test_bits_that_are_not_at_the_bottom_are_refused(made):
    assert "12 bits below bit 15" in refusal(made(RAMP << 4, HighBit=15))


def test_the_window_applies_to_rescaled_values(made):
    path = made(RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=[3000, 40], WindowWidth=[4000, 80])
    decoded = read_image(path)
    assert np.allclose(
        decoded.pixels[0], np.clip((RAMP.astype(float) * 2 - 1000 - 2999.5) / 3999 + 0.5, 0, 1), atol=1e-6
    )
    assert decoded.steps == ("rescaled: slope 2, intercept -1000", "window 4000 wide at 3000 (linear)")


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_window_functions_agree_with_pydicom(made, function):
    header = dcmread(made(WindowCenter=1800, WindowWidth=900, VOILUTFunction=function))
    assert np.allclose(apply_window(RAMP, 1800, 900, function), apply_windowing(RAMP, header) / 4095, atol=1e-6)


def test_an_unusable_window_is_told_and_ignored(made):
    for width in (0, 1, ""):
        decoded = read_image(made(WindowCenter=100, WindowWidth=width))
        assert decoded.steps[0].startswith("warning: unusable window ignored")
        assert np.allclose(decoded.pixels[0], RAMP / 4095)


@pytest.mark.parametrize(
    ("centre", "width"),
    [
        ("2047,5", "3000,0"), ("NaN", "NaN"), ("2000", "inf"), ("", "300"), ("300", ""), ("", ""), ("2000", "-5"),
        ("60000", "100"), ("-60000", "100"), ("6000", "1000"), ("abc", "300"), ("2000\\", "\\3000"),
    ],
)  # fmt: skip
def test_a_window_that_shows_nothing_is_ignored_and_said_with_its_values(written_as, centre, width):
    decoded = read_image(written_as(WindowCenter=centre, WindowWidth=width))
    assert decoded.steps[0].startswith("warning: unusable window ignored (")
    assert f"centre '{centre.split(chr(92))[0]}', width '{width.split(chr(92))[0]}'" in decoded.steps[0]
    assert np.allclose(decoded.pixels[0], RAMP / 4095)


def test_the_first_usable_of_several_windows_is_taken(written_as):
    decoded = read_image(written_as(WindowCenter="60000\\2000", WindowWidth="100\\3000"))
    assert decoded.steps[1] == "window 3000 wide at 2000 (linear)"


def test_an_unusable_window_leaves_8_bits_as_they_are(made):
    stored = np.random.default_rng(0).integers(10, 200, (64, 64), dtype=np.uint8)
    decoded = read_image(made(stored, WindowCenter=2000, WindowWidth=100))
    assert np.array_equal(decoded.pixels[0], stored / np.float32(255)) and len(decoded.steps) == 1


@pytest.mark.parametrize("name", ["RescaleSlope", "RescaleIntercept"])
@pytest.mark.parametrize("value", ["1,0", "NaN", "inf", "abc"])
def test_a_slope_that_is_no_number_is_refused_with_its_value(written_as, name, value):
    assert refusal(written_as(**{name: value})).startswith(f"{name} is '{value}'")


def test_a_slope_of_0_is_refused_with_its_value_and_an_empty_one_is_said(written_as):
    assert refusal(written_as(RescaleSlope="0.0", WindowCenter="5", WindowWidth="9")).startswith(
        "RescaleSlope is '0.0'"
    )
    decoded = read_image(written_as(RescaleSlope="", RescaleIntercept="", WindowCenter="2000", WindowWidth="3000"))
    assert decoded.steps[0] == "warning: empty RescaleSlope taken as 1"
    assert np.allclose(decoded.pixels, read_image(written_as(WindowCenter="2000", WindowWidth="3000")).pixels)


def test_a_letter_far_from_all_other_values_does_not_decide_the_range(made):
    for letter, stored in ((65535, RAMP), (0, 60_000 + RAMP // 2)):
        lettered = np.where(RAMP % 100 == 7, letter, stored).astype(np.uint16)
        decoded = read_image(made(lettered, BitsStored=16))
        image_pixels = lettered != letter
        assert np.ptp(decoded.pixels[0][image_pixels]) > 0.99 and "clipped" in decoded.steps[1]


def test_colour_of_12_bits_is_scaled_by_12_bits(made):
    colour = np.stack([RAMP] * 3, -1)
    header = dcmread(made())
    header.SamplesPerPixel, header.PlanarConfiguration, header.PhotometricInterpretation = 3, 0, "RGB"
    header.PixelData = colour.tobytes()
    header.save_as(header.filename)
    assert np.allclose(read_image(Path(header.filename)).pixels[0], RAMP / 4095, atol=1e-6)


def test_a_voi_table_goes_before_a_window(made):
    table = Dataset()
    table.LUTDescriptor = [4096, 0, 12]
    table.add_new("LUTData", "US", [4095 - value // 2 for value in range(4096)])
    decoded = read_image(made(VOILUTSequence=[table], WindowCenter=5, WindowWidth=9))
    assert np.allclose(decoded.pixels[0], (4095 - RAMP // 2) / 4095) and decoded.steps == ("VOI table applied",)


def test_padding_is_black_and_does_not_count(made):
    stored = np.where(RAMP < 64, 4000, RAMP // 2).astype(np.uint16)
    decoded = read_image(made(stored, PixelPaddingValue=4000, PhotometricInterpretation="MONOCHROME1"))
    assert (decoded.pixels[0, 0] == 0).all() and decoded.pixels[0, 1, 0] == 1
    assert "padding painted black" in decoded.steps


@pytest.mark.parametrize(
    ("elements", "why"),
    [
        ({"ViewPosition": "LL"}, "lateral or oblique view (LL)"),
        ({"ViewPosition": "LATERAL"}, "LATERAL"),
        ({"ViewPosition": "LAO"}, "lateral or oblique view (LAO)"),
        ({"SeriesDescription": "W Chest Lat."}, "SeriesDescription says LAT"),
        ({"BodyPartExamined": "HAND"}, "another body part (HAND)"),
        ({"Modality": "CT"}, "modality CT"),
        ({"Modality": None, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, "of the class CT Image Storage"),
        ({"NumberOfFrames": 3}, "3 frames"),
        ({"Rows": 60000, "Columns": 60000}, "the header says"),
        ({"RescaleSlope": 0}, "same value"),
        ({"PixelData": b"\0\0"}, "damaged or truncated"),
        ({"PhotometricInterpretation": "HSV"}, "photometric interpretation HSV"),
    ],
)
def test_what_is_no_frontal_radiograph_is_refused(made, elements, why):
    assert why in refusal(made(**elements))


@pytest.mark.parametrize("view", ["PA", "AP", "LLD", ""])
def test_frontal_views_are_read(made, view):
    assert read_image(made(ViewPosition=view)).pixels.shape == (1, 64, 64)


def test_an_unclear_view_is_read_and_told(made):
    decoded = read_image(made(ViewPosition="AP AXIAL", BodyPartExamined="RIB"))
    assert decoded.steps[:2] == (
        "warning: unclear body part (RIB), taken as a chest",
        "warning: unclear view (axial or lordotic), taken as frontal",
    )


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_a_modality_in_small_letters_or_none_at_all_is_read(made):
    assert read_image(made(Modality="cr")).steps == read_image(made(Modality=None)).steps


def test_a_view_said_by_code_counts(made):
    code = Dataset()
    code.CodeValue, code.CodeMeaning = "R-10236", "left lateral"
    assert "LEFT LATERAL" in refusal(made(ViewCodeSequence=[code]))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("CT_small.dcm", "modality CT"),
        ("SC_rgb_rle_2frame.dcm", "2 frames"),
        ("meta_missing_tsyntax.dcm", "without a transfer syntax"),
        ("ExplVR_LitEndNoMeta.dcm", "without its file header"),
        ("badVR.dcm", "RTDOSE"),
        ("UN_sequence.dcm", "no picture"),
        ("DICOMDIR-empty.dcm", "no picture"),
    ],
)
def test_bundled_faults_are_refused(name, why):
    assert why in refusal(bundled(name))


def test_a_bad_number_of_frames_is_refused(tmp_path):
    data = bundled("badVR.dcm").read_bytes().replace(b"RTDOSE", b"CR    ")
    (tmp_path / "a.dcm").write_bytes(data)
    assert "damaged" in refusal(tmp_path / "a.dcm")


def test_truncated_pixels_are_refused(tmp_path):
    data = bundled("MR_truncated.dcm").read_bytes().replace(b"CS\x02\x00MR", b"CS\x02\x00CR", 1)
    (tmp_path / "a.dcm").write_bytes(data)
    assert "damaged or truncated" in refusal(tmp_path / "a.dcm")


@pytest.mark.parametrize("name", ["SC_rgb_rle.dcm", "SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_gdcm_KY.dcm", "image_dfl.dcm"])
def test_bundled_pictures_of_many_codecs_are_read(name):
    decoded = read_image(bundled(name))
    assert 0 <= decoded.pixels.min() < decoded.pixels.max() <= 1


def test_a_warning_of_pydicom_is_a_step():
    assert read_image(bundled("SC_rgb_jpeg.dcm")).steps[0].startswith("warning: Expected explicit VR")


def test_a_compressed_file_without_its_codec_names_what_to_install(made, monkeypatch):
    path = made(RAMP)
    header = dcmread(path)
    header.compress(RLELossless)
    header.file_meta.TransferSyntaxUID = JPEGLSLossless  # never decoded: there is no codec
    header.save_as(path)
    decoder = get_decoder(JPEGLSLossless)
    monkeypatch.setattr(decoder, "_available", {})
    monkeypatch.setattr(decoder, "_unavailable", {"pylibjpeg": ("pylibjpeg",)})
    assert refusal(path).endswith("needs a codec: pip install cxrlens[dicom]")


def test_a_deflated_bomb_is_refused_before_it_unfolds(made, monkeypatch):
    path = made(np.tile(RAMP, (4, 4)), DeflatedExplicitVRLittleEndian)
    assert read_image(path).pixels.shape == (1, 256, 256)
    monkeypatch.setattr(dicom_module, "MAX_BYTES", 100_000)
    assert "decompression bomb" in refusal(path)


@pytest.mark.parametrize("bits", [10, 12])
def test_a_voi_table_that_states_more_bits_than_it_uses_is_not_nearly_black(made, bits):
    table = Dataset()
    table.LUTDescriptor = [4096, 0, 16]
    table.LUTData = (np.arange(4096) >> (12 - bits)).astype(np.uint16).tobytes()
    table["LUTData"].VR = "OW"
    decoded = read_image(made(VOILUTSequence=[table]))
    assert np.allclose(decoded.pixels[0], (RAMP >> (12 - bits)) / (2**bits - 1))
    assert decoded.steps == (f"warning: VOI table applied whose values use {bits} of 16 bits",)


def test_a_window_of_16_bits_over_values_of_12_is_ignored_and_said(made):
    decoded = read_image(made(WindowCenter=32768, WindowWidth=65536))
    assert decoded.pixels.max() == 1
    assert decoded.steps[0].startswith("warning: unusable window ignored (far wider than the values")
    assert read_image(made(WindowCenter=8192, WindowWidth=16384)).steps == ("window 16384 wide at 8192 (linear)",)


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
def test_the_photometric_interpretation_may_be_in_small_letters(made):
    decoded = read_image(made(PhotometricInterpretation="monochrome1"))
    assert decoded.pixels[0, 0, 0] == 1 and decoded.steps[-1] == "MONOCHROME1 inverted"
