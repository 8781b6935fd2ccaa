import subprocess

import costate
import pytest


def openssl(*words, cwd):
    subprocess.run(["openssl", *words], cwd=cwd, check=True, capture_output=True)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """A root, and a server and a client certified by it."""
    folder = tmp_path_factory.mktemp("keys")
    new_key = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl(
        *new_key,
        "-x509",
        "-days",
        "2",
        "-subj",
        "/CN=root",
        "-keyout",
        "root.key",
        "-out",
        "root.pem",
        cwd=folder,
    )
    for name in ("localhost", "someone"):
        (folder / "names").write_text(f"subjectAltName=DNS:{name}\n")
        openssl(
            *new_key,
            "-subj",
            f"/CN={name}",
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.csr",
            cwd=folder,
        )
        openssl(
            "x509",
            "-req",
            "-in",
            f"{name}.csr",
            "-CA",
            "root.pem",
            "-CAkey",
            "root.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            "names",
            "-out",
            f"{name}.pem",
            cwd=folder,
        )
    return folder


def serve(keys, *arguments):
    flags = [f"--tls-cert={keys}/localhost.pem", f"--tls-key={keys}/localhost.key", *arguments]
    return costate.LocalServer.start(None, flags, 30)


def test_tls(keys):
    server = serve(keys)
    try:
        root = keys / "root.pem"
        for trusted in (root, str(root), root.read_bytes()):
            with costate.connect(
                server.address, root_certificates=trusted, server_name="localhost"
            ) as client:
                assert client.server_info().version
        with (
            costate.connect(server.address) as plain,
            pytest.raises(costate.Unavailable),
        ):
            plain.server_info(timeout=5)
        with (
            costate.connect(server.address, tls=True, server_name="localhost") as stranger,
            pytest.raises(costate.Unavailable),
        ):
            stranger.server_info(timeout=5)
    finally:
        server.stop()


def test_mutual_tls(keys):
    server = serve(keys, f"--tls-client-ca={keys}/root.pem")
    common = {"root_certificates": keys / "root.pem", "server_name": "localhost"}
    try:
        with costate.connect(
            server.address,
            certificate=keys / "someone.pem",
            private_key=keys / "someone.key",
            **common,
        ) as client:
            assert client.server_info().version
        with (
            costate.connect(server.address, **common) as nameless,
            pytest.raises(costate.Unavailable),
        ):
            nameless.server_info(timeout=5)
    finally:
        server.stop()


def test_options_that_contradict():
    with pytest.raises(ValueError, match="belong together"):
        costate.connect(certificate=b"x")
    with pytest.raises(ValueError, match="tls=False"):
        costate.connect(tls=False, root_certificates=b"x")


def test_the_address_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("COSTATE_ADDRESS", "elsewhere:99")
    assert costate.connect().address == "elsewhere:99"
    assert costate.connect("here:1").address == "here:1"
    monkeypatch.delenv("COSTATE_ADDRESS")
    assert costate.connect().address == "localhost:4310"
