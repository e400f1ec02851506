"""Small DICOM files with the headers that a test asks for."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian


def write_dicom(path: Path, seed: int = 0, syntax: str = ExplicitVRLittleEndian, **elements) -> Path:
    """A radiograph of noise, 72 x 80 pixels; keywords are header elements."""
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = syntax
    header.SOPClassUID, header.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", f"1.2.3.{seed}"
    header.Modality, header.PhotometricInterpretation = "CR", "MONOCHROME2"
    header.SamplesPerPixel, header.Rows, header.Columns, header.PixelRepresentation = 1, 72, 80, 0
    header.BitsAllocated, header.BitsStored, header.HighBit = 8, 8, 7
    header.PixelData = np.random.default_rng(seed).integers(0, 256, (72, 80), dtype=np.uint8).tobytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # values that the standard forbids are what files hold
        for name, value in elements.items():
            setattr(header, name, value)
        path.parent.mkdir(parents=True, exist_ok=True)
        header.save_as(path, enforce_file_format=True)
    return path
