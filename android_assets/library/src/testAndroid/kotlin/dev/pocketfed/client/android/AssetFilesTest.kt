package dev.pocketfed.client.android

import android.content.res.AssetManager
import dev.pocketfed.client.Unfit
import dev.pocketfed.client.wire.Digest
import java.io.File
import java.nio.ByteBuffer
import java.util.zip.CRC32
import java.util.zip.ZipEntry
import java.util.zip.ZipOutputStream
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner

@RunWith(RobolectricTestRunner::class)
class AssetFilesTest {
    @get:Rule
    val folder = TemporaryFolder()

    private val model = ByteArray(5000) { (it % 7).toByte() }
    private val manifest = "{}".toByteArray()
    private val checkpoint = byteArrayOf(1, 2, 3)
    private val sums = "${Digest.sha256(checkpoint)}  checkpoint.safetensors\n" +
        "${Digest.sha256(model)}  model.tflite\n"

    /** The assets of an app whose model lies there by this method of ZIP. */
    private fun assets(method: Int): AssetManager {
        val apk = folder.newFile("app.apk")
        ZipOutputStream(apk.outputStream()).use {
            it.add("assets/pocketfed/digits/model.tflite", model, method)
            it.add("assets/pocketfed/digits/manifest.json", manifest, ZipEntry.DEFLATED)
            it.add("assets/pocketfed/digits/checkpoint.safetensors", checkpoint, ZipEntry.DEFLATED)
            it.add("assets/pocketfed/digits/SHA256SUMS", sums.toByteArray(), ZipEntry.DEFLATED)
        }
        return opened(apk)
    }

    private fun opened(apk: File): AssetManager {
        val assets = AssetManager::class.java.getDeclaredConstructor().newInstance()
        AssetManager::class.java.getMethod("addAssetPath", String::class.java).invoke(assets, apk.path)
        return assets
    }

    private fun ZipOutputStream.add(name: String, body: ByteArray, way: Int) {
        val entry = ZipEntry(name).apply {
            method = way
            size = body.size.toLong()
            crc = CRC32().apply { update(body) }.value
        }
        putNextEntry(entry)
        write(body)
        closeEntry()
    }

    @Test
    fun `a stored model is mapped from where it lies in the app`() {
        val mapped = AssetFiles(assets(ZipEntry.STORED)).map("pocketfed/digits/model.tflite")
        assertTrue(mapped.isDirect)
        assertArrayEquals(model, ByteArray(mapped.remaining()).also { mapped.get(it) })
    }

    @Test
    fun `an artifact is read from its folder`() {
        val material = AssetFiles(assets(ZipEntry.STORED)).material("${AssetFiles.FOLDER}/digits")
        assertEquals(model.size, material.model.remaining())
        assertArrayEquals(manifest, material.manifest)
        assertArrayEquals(checkpoint, material.checkpoint)
    }

    @Test
    fun `a compressed model is refused with the line that the build file lacks`() {
        val files = AssetFiles(assets(ZipEntry.DEFLATED))
        val refusal = assertThrows(Unfit::class.java) { files.map("pocketfed/digits/model.tflite") }
        assertEquals("asset_compressed", refusal.code)
        assertTrue(refusal.message, "noCompress += \"tflite\"" in refusal.message!!)
    }

    @Test
    fun `what the app ships is found by its digest`() {
        val bundled = BundledAssets(assets(ZipEntry.STORED))
        assertArrayEquals(model, bodyOf(bundled.find(Digest.sha256(model))!!))
        assertArrayEquals(checkpoint, bodyOf(bundled.find(Digest.sha256(checkpoint))!!))
        assertNull(bundled.find(Digest.sha256(ByteArray(1))))
    }

    @Test
    fun `an app that ships no artifact has none to find`() {
        val apk = folder.newFile("empty.apk")
        ZipOutputStream(apk.outputStream()).use { it.add("assets/other", manifest, ZipEntry.STORED) }
        assertNull(BundledAssets(opened(apk)).find(Digest.sha256(model)))
    }

    private fun bodyOf(found: ByteBuffer) = ByteArray(found.remaining()).also { found.get(it) }

    @Test
    fun `an asset that is not there is called missing`() {
        val files = AssetFiles(assets(ZipEntry.STORED))
        assertEquals("asset_missing", assertThrows(Unfit::class.java) { files.map("no/model.tflite") }.code)
        assertEquals("asset_missing", assertThrows(Unfit::class.java) { files.bytes("no/file") }.code)
    }
}
