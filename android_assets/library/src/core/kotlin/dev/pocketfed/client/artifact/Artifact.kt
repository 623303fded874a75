package dev.pocketfed.client.artifact

import dev.pocketfed.client.wire.Checkpoint
import dev.pocketfed.client.wire.Digest
import java.io.File
import java.io.IOException
import java.io.RandomAccessFile
import java.nio.ByteBuffer
import java.nio.channels.FileChannel

/** Where the files of one artifact are: a folder, or an app's assets. */
public fun interface Files {
    /** The bytes of one file, mapped or read, from its position on. Throws IOException when there is none. */
    public fun open(name: String): ByteBuffer
}

/** A folder on disk, whose files are mapped. */
public class Folder(private val path: File) : Files {
    override fun open(name: String): ByteBuffer = RandomAccessFile(File(path, name), "r").use { file ->
        file.channel.map(FileChannel.MapMode.READ_ONLY, 0, file.length())
    }
}

/**
 * An artifact whose files are those that were exported: each is checked against the manifest when it is
 * opened. An app need not ship those that it does not open.
 */
public class Artifact private constructor(
    private val files: Files,
    public val manifest: Manifest,
    /** `manifest.json` as it was read. */
    public val manifestBytes: ByteArray,
) {
    /** The `.tflite`. Throws Damaged (`damaged_artifact`). */
    public val model: ByteBuffer
        get() = open(MODEL)

    /** The first weights. Throws Damaged. */
    public val checkpoint: FloatArray
        get() = Checkpoint.decode(bytesOf(CHECKPOINT), manifest.weightSpec)

    /** One file that the manifest lists, from position 0. Throws Damaged (`damaged_artifact`). */
    public fun open(name: String): ByteBuffer {
        val entry = manifest.files[name] ?: throw damaged("the artifact has no '$name'; export the model again")
        val body = read(files, name)
        if (body.remaining().toLong() != entry.bytes || Digest.sha256(body) != entry.sha256) {
            throw damaged("'$name' is not the file that was exported; ship the artifact as it is")
        }
        return body
    }

    /** A copy of one file's bytes. Throws Damaged (`damaged_artifact`). */
    public fun bytesOf(name: String): ByteArray = copied(open(name))

    public companion object {
        public const val MANIFEST: String = "manifest.json"
        public const val MODEL: String = "model.tflite"
        public const val CHECKPOINT: String = "checkpoint.safetensors"
        public const val GOLDEN: String = "golden.safetensors"

        /** Reads the manifest and checks the model. Throws Damaged (`damaged_artifact`). */
        public fun read(files: Files): Artifact {
            val raw = copied(read(files, MANIFEST))
            val manifest = Manifest.parse(raw)
            manifest.files.keys.forEach(::requirePlain)
            return Artifact(files, manifest, raw).also { it.model }
        }
    }
}

private fun read(files: Files, name: String): ByteBuffer = try {
    files.open(name).slice()
} catch (error: IOException) {
    throw damaged("the artifact has no '$name'; ship it with the app", error)
}

private fun copied(buffer: ByteBuffer): ByteArray = ByteArray(buffer.remaining()).also { buffer.duplicate().get(it) }

/** A name with a separator or of dots alone could lead out of the artifact's folder. */
private fun requirePlain(name: String) {
    if (name.isEmpty() || name == "." || name == ".." || name.any { it == '/' || it == '\\' || it == '\u0000' }) {
        throw damaged("the manifest lists '$name', expected names within the folder; export the model again")
    }
}
