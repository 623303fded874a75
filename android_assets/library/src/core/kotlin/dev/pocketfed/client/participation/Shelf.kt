package dev.pocketfed.client.participation

import dev.pocketfed.client.Unfit
import dev.pocketfed.client.protocol.Resource
import dev.pocketfed.client.protocol.mapped
import dev.pocketfed.client.wire.Digest
import java.io.File
import java.io.IOException
import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * Downloaded bytes by their SHA-256, at most [maxBytes] of them; the ones not used for the longest time go
 * first. What the app ships counts as downloaded.
 */
internal class Shelf(private val folder: File, private val bundled: Bundled, private val maxBytes: Long) {
    /**
     * The bytes of [resource], checked, mapped or direct, in native order. What is not here is fetched by
     * [download] into the file it is given; files of the digests in [needed] make no room for it. Throws
     * Unfit when they would not all fit.
     */
    fun take(resource: Resource, needed: Collection<Resource>, download: (Resource, File) -> Unit): ByteBuffer {
        val found = bundled.find(resource.sha256)?.takeIf { Digest.sha256(it) == resource.sha256 }
        return (found ?: mapped(fileOf(resource, needed, download))).order(ByteOrder.nativeOrder())
    }

    private fun fileOf(resource: Resource, needed: Collection<Resource>, download: (Resource, File) -> Unit): File {
        val file = File(folder, resource.sha256)
        if (!isWhole(file, resource)) {
            file.delete()
            makeRoom(needed)
            val part = File(folder, resource.sha256 + ".part")
            download(resource, part)
            if (!part.renameTo(file)) throw IOException("$part cannot become $file; is the storage full?")
        }
        file.setLastModified(System.currentTimeMillis())
        return file
    }

    private fun isWhole(file: File, resource: Resource): Boolean =
        file.length() == resource.bytes && file.isFile && Digest.sha256(mapped(file)) == resource.sha256

    private fun makeRoom(needed: Collection<Resource>) {
        val digests = needed.map { it.sha256 }.toSet()
        val wantedBytes = needed.distinctBy { it.sha256 }.sumOf { it.bytes }
        if (wantedBytes > maxBytes) {
            throw Unfit("payload_too_large", "the work needs $wantedBytes bytes, expected at most $maxBytes")
        }
        folder.mkdirs()
        var room = maxBytes - wantedBytes
        val others = folder.listFiles().orEmpty().filter { it.name.removeSuffix(".part") !in digests }
        for (file in others.sortedByDescending { it.lastModified() }) {
            room -= file.length()
            if (room < 0) file.delete()
        }
    }
}
