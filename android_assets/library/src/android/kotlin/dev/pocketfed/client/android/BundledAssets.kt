package dev.pocketfed.client.android

import android.content.res.AssetManager
import dev.pocketfed.client.participation.Bundled
import java.nio.ByteBuffer

/** The artifacts among an app's assets, which need no download while the server hands out the same. */
public class BundledAssets(private val assets: AssetManager) : Bundled {
    private val files = AssetFiles(assets)

    /** Digest to path, of all artifacts. */
    private val paths: Map<String, String> by lazy {
        folders().flatMap { sums("${AssetFiles.FOLDER}/$it") }.toMap()
    }

    override fun find(sha256: String): ByteBuffer? = paths[sha256]?.let(::opened)

    // An archive that lacks entries for its folders may be listed with what lies deeper.
    private fun folders(): List<String> =
        assets.list(AssetFiles.FOLDER).orEmpty().map { it.substringBefore('/') }.distinct()

    // Of the files only the model is certain to lie uncompressed.
    private fun opened(path: String): ByteBuffer =
        if (path.endsWith(".tflite")) files.map(path) else direct(files.bytes(path))

    private fun direct(body: ByteArray): ByteBuffer =
        ByteBuffer.allocateDirect(body.size).put(body).apply { flip() }

    private fun sums(folder: String): List<Pair<String, String>> =
        files.bytes("$folder/$SUMS").decodeToString().lines().filter { it.isNotEmpty() }
            .map { it.substringBefore(' ') to "$folder/${it.substringAfterLast(' ')}" }

    private companion object {
        const val SUMS = "SHA256SUMS"
    }
}
