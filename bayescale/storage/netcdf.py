"""Trees as NetCDF files that carry a checksum of their contents: a changed number is never taken for a result."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bayescale.errors import UsageError
from bayescale.storage.atomic import whole_file

if TYPE_CHECKING:
    import xarray

SEAL = "bayescale_sha256"


def write_tree(tree: xarray.DataTree, path: str | Path) -> None:
    """Write a tree with its checksum to a NetCDF file, whole or not at all.

    Raises
    ------
    UsageError
        The folder does not exist or cannot be written to.
    """
    sealed = tree.copy()
    sealed.attrs = {**tree.attrs, SEAL: digest(tree)}
    # made in memory: a disk that fills up while HDF5 writes to it takes the process down
    content = sealed.to_netcdf(engine="h5netcdf")
    with whole_file(Path(path)) as temporary:
        temporary.write_bytes(content)


def read_tree(path: Path) -> xarray.DataTree:
    """Everything in a NetCDF file.

    Raises
    ------
    UsageError
        The file cannot be read as one.
    """
    import h5py
    import xarray

    try:
        # h5py first: where it fails, h5netcdf leaves an object behind that complains when it is collected
        with h5py.File(path, "r") as file:
            list(file["/"].attrs)
        tree = xarray.open_datatree(path, engine="h5netcdf").load()
        tree.close()
    except Exception as error:  # h5py and xarray raise many types for a damaged file
        reason = str(error).splitlines()[0] if str(error) else ""
        raise UsageError(
            f"{path} is not a fit saved by bayescale, or it is damaged ({type(error).__name__}: {reason})"
        ) from None
    return tree


def check_seal(tree: xarray.DataTree, path: str | Path) -> None:
    """Refuse a tree that is not the one that was written.

    Raises
    ------
    UsageError
        The checksum is missing or is another tree's.
    """
    if SEAL not in tree.attrs:
        raise UsageError(f"{path} has no checksum: it was written by an older bayescale, or changed; fit again")
    if tree.attrs[SEAL] != digest(tree):
        raise UsageError(f"{path} is damaged or was changed: its numbers are not those that were saved; fit again")


def digest(tree: xarray.DataTree) -> str:
    """SHA-256 of a tree's variables and of the text that describes it, the same before and after a file."""
    sha = hashlib.sha256()

    def say(text: str) -> None:
        sha.update(text.encode("utf-8", "surrogatepass"))  # a damaged file's text may be no text

    for node in sorted(tree.subtree, key=lambda node: node.path):
        say(f"{node.path}\n{node.attrs.get('bayescale', '')}\n{node.attrs.get('bayescale_format', '')}\n")
        for name, variable in sorted(node.to_dataset(inherit=False).variables.items(), key=lambda item: str(item[0])):
            say(f"{name} {variable.dims} {variable.shape}\n")
            values = variable.to_numpy()
            if values.dtype.kind in "biuf":
                sha.update(np.ascontiguousarray(values, dtype="<f8").tobytes())
            else:
                say("\0".join(map(str, values.ravel())))
    return sha.hexdigest()
