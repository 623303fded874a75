"""Artifacts as files that Bazel makes: an app's assets."""

# What `pocketfed android` lays for one artifact.
FILES = [
    "LICENSE",
    "SHA256SUMS",
    "checkpoint.safetensors",
    "manifest.json",
    "model.tflite",
]

def zoo_assets(name, model, visibility = None):
    """Exports a model of the zoo and lays it where the Android library looks for it.

    Args:
      name: of the target; its files lie in NAME/pocketfed/MODEL.
      model: a model of the zoo.
      visibility: which apps may have it.
    """
    cli = Label("//cli")
    native.genrule(
        name = name,
        outs = ["%s/pocketfed/%s/%s" % (name, model, file) for file in FILES],
        cmd = "$(execpath %s) pocketfed.cli android --zoo=%s --out=$(RULEDIR)/%s --replace" % (
            cli,
            model,
            name,
        ),
        # Made when it is asked for: an export takes TensorFlow and half a minute.
        tags = ["manual"],
        tools = [cli],
        visibility = visibility,
    )
