package dev.pocketfed.client.artifact

import dev.pocketfed.client.Damaged
import java.io.File
import java.util.stream.Stream
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.TestFactory

/** The manifests that Python and Kotlin read alike, `tests/golden/manifest`. */
class GoldenManifestsTest {
    private val folder = File(System.getProperty("pocketfed.root"), "tests/golden/manifest")

    @TestFactory
    fun `a valid manifest is read`(): Stream<DynamicTest> = tests("valid") { file ->
        val manifest = Manifest.parse(file.readBytes())
        assertEquals("golden", manifest.name)
        assertEquals(8, manifest.weightSpec.size)
    }

    @TestFactory
    fun `an invalid manifest is refused`(): Stream<DynamicTest> = tests("invalid") { file ->
        val error = assertThrows(Damaged::class.java, { Manifest.parse(file.readBytes()) }, file.name)
        assertEquals("damaged_artifact", error.code)
        assertTrue('\n' !in error.message.orEmpty(), error.message)
    }

    private fun tests(kind: String, check: (File) -> Unit): Stream<DynamicTest> {
        val found = folder.resolve(kind).listFiles().orEmpty().sorted()
        assertTrue(found.isNotEmpty())
        return found.stream().map { DynamicTest.dynamicTest(it.name) { check(it) } }
    }
}
