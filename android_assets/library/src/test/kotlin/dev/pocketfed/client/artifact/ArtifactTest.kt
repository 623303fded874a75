package dev.pocketfed.client.artifact

import dev.pocketfed.client.Damaged
import dev.pocketfed.client.wire.Codec
import dev.pocketfed.client.wire.Digest
import dev.pocketfed.client.wire.Rounding
import java.io.File
import java.nio.file.Path
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

class ArtifactTest {
    @TempDir
    lateinit var temporary: Path

    private val folder: File get() = temporary.toFile()
    private val root = File(System.getProperty("pocketfed.root"))
    private val golden = root.resolve("tests/golden/manifest/valid/minimal.json").readText()
    private val weights = FloatArray(8) { it - 3.5f }

    @Test
    fun `an artifact gives its model and its first weights`() {
        write()
        val artifact = Artifact.read(Folder(folder))
        assertEquals(5, artifact.model.remaining())
        assertArrayEquals(weights, artifact.checkpoint)
        assertEquals(artifact.manifest, Manifest.parse(artifact.manifestBytes))
    }

    @Test
    fun `an app may leave out files that it does not open`() {
        write()
        folder.resolve(Artifact.CHECKPOINT).delete()
        val artifact = Artifact.read(Folder(folder))
        assertEquals("damaged_artifact", refusal { artifact.checkpoint }.code)
    }

    @Test
    fun `a model that is not the exported one is refused`() {
        write()
        folder.resolve(Artifact.MODEL).writeText("modEl")
        assertTrue("model.tflite" in refusal { Artifact.read(Folder(folder)) }.message.orEmpty())
    }

    @Test
    fun `a folder without a manifest is refused`() {
        assertTrue("manifest.json" in refusal { Artifact.read(Folder(folder)) }.message.orEmpty())
    }

    @Test
    fun `a name that leads out of the folder is refused`() {
        for (name in listOf("../model.tflite", "/etc/passwd", "a/b", "..", "a\\\\b", "")) {
            write(name)
            assertTrue("within the folder" in refusal { Artifact.read(Folder(folder)) }.message.orEmpty(), name)
        }
    }

    private fun refusal(action: () -> Unit) = assertThrows(Damaged::class.java) { action() }

    private fun write(extra: String = "extra.txt") {
        val model = "model".toByteArray()
        val spec = Manifest.parse(golden.toByteArray()).weightSpec
        val checkpoint = Codec.named("float32").encode(weights, spec, Rounding.NEAREST)
        val files = mapOf(Artifact.MODEL to model, Artifact.CHECKPOINT to checkpoint)
        for ((name, body) in files) folder.resolve(name).writeBytes(body)
        val listed = (files + (extra to model)).entries.joinToString(",", "{", "}") { (name, body) ->
            """"$name":{"sha256":"${Digest.sha256(body)}","bytes":${body.size}}"""
        }
        folder.resolve(Artifact.MANIFEST).writeText(golden.replace("\"files\": {}", "\"files\": $listed"))
    }
}
