from __future__ import annotations

import pytest

from segearth_ov3.geo.names import is_gdal_name, local_path, needs_network, shown_name, without_secrets

SIGNED = "https://host/a/town.tif?sv=2024&sig=yD/tz98Mu%3D"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (SIGNED, "https://host/a/town.tif"),
        (f"/vsicurl/{SIGNED}", "/vsicurl/https://host/a/town.tif"),
        (f"/vsizip/{{/vsicurl/{SIGNED}}}/b.tif", "/vsizip/{/vsicurl/https://host/a/town.tif}/b.tif"),
        ("/vsicurl?max_retry=2&url=https%3A%2F%2Fhost%2Fa.tif%3Fsig%3Dabc", "/vsicurl/https://host/a.tif"),
        ("https://me:secret@host/a.tif", "https://host/a.tif"),
        ("folder/what?.tif", "folder/what?.tif"),
        ("C:/maps/a?b.tif", "C:/maps/a?b.tif"),
    ],
)
def test_shown_name_has_no_secrets(name: str, shown: str) -> None:
    assert shown_name(name) == shown


def test_messages_lose_the_query_of_every_url() -> None:
    message = f"'{SIGNED}' not recognized; tried /vsicurl/{SIGNED} and http://me:pw@host/x?token=1 too"
    assert without_secrets(message) == (
        "'https://host/a/town.tif' not recognized; tried /vsicurl/https://host/a/town.tif and http://host/x too"
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.tif", False),
        ("/data/a.tif", False),
        ("C:\\a.tif", False),
        ("/vsizip/a.zip/b.tif", True),
        ("s3://bucket/a.tif", True),
        ("GTIFF_DIR:1:a.tif", True),
    ],
)
def test_names_with_a_prefix_are_no_files(name: str, expected: bool) -> None:
    assert is_gdal_name(name) is expected


@pytest.mark.parametrize(
    "name",
    [
        SIGNED,
        "/vsicurl/http://a/b",
        "/vsizip//vsis3/bucket/a.zip",
        "/vsicurl_streaming/http://h/a",
        "ftp://a/b.tif",
        "WMS:http://h/q",
        "gs://b/a.tif",
    ],
)
def test_names_of_servers_need_the_network(name: str) -> None:
    assert needs_network(name)


@pytest.mark.parametrize("name", ["a.tif", "/vsizip/a.zip/b.tif", "/data/https/a.tif", "NETCDF:a.nc:red"])
def test_names_of_this_machine_do_not(name: str) -> None:
    assert not needs_network(name)


def test_file_urls_are_paths() -> None:
    assert local_path("file:///data/my%20town.tif") == "/data/my town.tif"
    assert local_path("https://host/a.tif") == "https://host/a.tif"
