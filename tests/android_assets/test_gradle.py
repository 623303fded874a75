"""The Gradle build agrees with the Maven build, which runs without the tools of Android."""

import re
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from pocketfed.model_export.bundling import fitness, laying

ROOT = Path(__file__).parents[2] / "android_assets"
CATALOGUE = tomllib.loads((ROOT / "gradle" / "libs.versions.toml").read_text())
VERSIONS = CATALOGUE["versions"]
POM = "{http://maven.apache.org/POM/4.0.0}"
ANDROID = "{http://schemas.android.com/apk/res/android}"
PAGE = (ROOT.parent / "docs" / "android.md").read_text()
SHOWN = dict(
    re.findall(r"^```kotlin\n// (\S+\.gradle\.kts)(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
)
SCRIPTS = {
    path.relative_to(ROOT).as_posix(): path.read_text() for path in ROOT.rglob("*.gradle.kts")
}
SCRIPTS |= {f"docs/android.md:{name}": text for name, text in SHOWN.items()}


def properties(module: str = "") -> dict[str, str]:
    """The properties of a module of the Maven build."""
    tree = ElementTree.parse(ROOT / "host" / module / "pom.xml")
    found = tree.find(f"{POM}properties")
    assert found is not None
    return {entry.tag.removeprefix(POM): entry.text or "" for entry in found}


@pytest.mark.parametrize(
    ("gradle", "maven"),
    [
        ("kotlin", "kotlin.version"),
        ("serialization", "serialization.version"),
        ("okhttp", "okhttp.version"),
        ("work", "work.version"),
        ("junit", "junit.version"),
        ("minSdk", "min.sdk"),
        ("compileSdk", "compile.sdk"),
    ],
)
def test_a_version_is_the_same_in_both_builds(gradle: str, maven: str) -> None:
    assert VERSIONS[gradle] == properties()[maven]


def test_r8_of_the_tests_is_that_of_the_android_plugin() -> None:
    assert properties()["r8.version"].split(".")[:2] == VERSIONS["agp"].split(".")[:2]


def test_every_library_and_plugin_has_a_version_of_the_catalogue() -> None:
    entries = [*CATALOGUE["libraries"].values(), *CATALOGUE["plugins"].values()]
    assert {entry["version"]["ref"] for entry in entries} <= set(VERSIONS)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_build_script_names_only_what_the_catalogue_has(script: str) -> None:
    for name in re.findall(r"\blibs\.([a-zA-Z.]+)", without_strings(SCRIPTS[script])):
        kind, _, rest = name.partition(".")
        key = rest.removesuffix(".get")
        if kind == "versions":
            assert key in VERSIONS, name
        elif kind == "plugins":
            assert key.replace(".", "-") in CATALOGUE["plugins"], name
        else:
            assert name.replace(".", "-") in CATALOGUE["libraries"], name


def without_strings(script: str) -> str:
    """A script's code, without what it says in strings and comments."""
    return re.sub(r'"[^"]*"|//.*', "", script)


@pytest.mark.parametrize("script", SCRIPTS)
def test_brackets_of_a_build_script_match(script: str) -> None:
    open_ones: list[str] = []
    for sign in without_strings(SCRIPTS[script]):
        if sign in "({[":
            open_ones.append(sign)
        elif sign in ")}]":
            assert open_ones.pop() + sign in ("()", "{}", "[]")
    assert open_ones == []


def test_the_page_shows_the_scripts_of_an_app() -> None:
    assert set(SHOWN) == {"settings.gradle.kts", "app/build.gradle.kts"}


def test_what_the_page_takes_from_a_checkout_is_there() -> None:
    settings = SHOWN["settings.gradle.kts"]
    catalogue, library = re.findall(r'"\.\./pocketfed/([^"]+)"', settings)
    assert f'create("libs") {{ from(files("../pocketfed/{catalogue}")) }}' in settings
    assert ROOT.parent / catalogue == ROOT / "gradle" / "libs.versions.toml"
    assert ROOT.parent / library == ROOT / "library"
    assert (ROOT.parent / library / "build.gradle.kts").is_file()


def test_an_app_of_the_page_is_built_like_the_sample() -> None:
    app = SHOWN["app/build.gradle.kts"]
    sample = (ROOT / "sample" / "build.gradle.kts").read_text()
    assert f"minSdk = {VERSIONS['minSdk']} " in app
    uncompressed, *dependencies = re.findall(r"noCompress.*|implementation\(.*\)", app)
    assert uncompressed in sample
    project = re.search(r'include\("(:\w+)"\)', SHOWN["settings.gradle.kts"])
    assert project is not None
    renamed = sample.replace('":library"', f'"{project[1]}"')
    assert dependencies == re.findall(r"implementation\(.*\)", renamed)


def test_the_source_folders_of_the_library_exist() -> None:
    script = (ROOT / "library" / "build.gradle.kts").read_text()
    folders = re.findall(r'"(src/[a-z/]+)"', script)
    assert folders == ["src/core/kotlin", "src/android/kotlin", "src/workmanager/kotlin"]
    assert all((ROOT / "library" / folder).is_dir() for folder in folders)


@pytest.mark.parametrize("module", ["library", "sample"])
def test_a_namespace_is_the_package_of_its_sources(module: str) -> None:
    found = re.search(r'namespace = "([a-z.]+)"', (ROOT / module / "build.gradle.kts").read_text())
    assert found is not None
    packages = {
        line.split()[1]
        for source in (ROOT / module / "src").rglob("kotlin/**/*.kt")
        if "test" not in source.relative_to(ROOT / module).parts[1]
        for line in source.read_text().splitlines()
        if line.startswith("package ")
    }
    assert packages
    assert all(package.startswith(found[1]) for package in packages)


def test_what_the_manifest_of_the_sample_names_exists() -> None:
    folder = ROOT / "sample" / "src" / "main"
    tree = ElementTree.parse(folder / "AndroidManifest.xml")
    parts = [*tree.iter("application"), *tree.iter("activity")]
    for name in (part.attrib[f"{ANDROID}name"] for part in parts):
        assert (folder / "kotlin" / f"{name.replace('.', '/')}.kt").is_file(), name
    ElementTree.parse(folder / "res" / "xml" / "network_security.xml")


def test_the_library_asks_for_the_permissions_of_its_services() -> None:
    tree = ElementTree.parse(ROOT / "library" / "src" / "main" / "AndroidManifest.xml")
    asked = {use.attrib[f"{ANDROID}name"].split(".")[-1] for use in tree.iter("uses-permission")}
    assert asked == {"INTERNET", "ACCESS_NETWORK_STATE", "RECEIVE_BOOT_COMPLETED"}


def test_models_stay_uncompressed_in_the_sample() -> None:
    script = (ROOT / "sample" / "build.gradle.kts").read_text()
    assert 'androidResources { noCompress += "tflite" }' in script


def test_the_oldest_runtime_that_is_checked_for_is_the_one_compiled_against() -> None:
    assert properties()["tflite.version"] == fitness.OLDEST_RUNTIME
    assert int(VERSIONS["litert"].split(".")[0]) >= 1


def test_the_library_looks_for_assets_where_they_are_laid() -> None:
    source = ROOT / "library/src/android/kotlin/dev/pocketfed/client/android/AssetFiles.kt"
    assert f'FOLDER: String = "{laying.FOLDER}"' in source.read_text()
