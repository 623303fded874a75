package dev.pocketfed.client.wire

import dev.pocketfed.client.PocketFedException
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.stream.Stream
import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable
import kotlinx.serialization.json.Json
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory

/** The bodies that every implementation of the protocol is held against, `tests/golden/wire`. */
class GoldenBodiesTest {
    @Serializable
    private class Valid(
        val codec: String,
        val body: String,
        val decoded: String,
        @SerialName("is_exact") val isExact: Boolean,
    )

    @Serializable
    private class Invalid(val name: String, val codec: String, val body: String, val code: String)

    @Serializable
    private class Index(
        val spec: List<WeightEntry>,
        val delta: String,
        val valid: List<Valid>,
        val invalid: List<Invalid>,
    )

    private val folder = File(System.getProperty("pocketfed.root"), "tests/golden/wire")
    private val index = Json.decodeFromString<Index>(folder.resolve("index.json").readText())
    private val spec = WeightSpec(index.spec)
    private val delta = floats(index.delta)

    @Test
    fun `the list has bodies of every kind`() {
        val families = index.valid.map { it.codec.replace(Regex(":[^+]*"), "") }
        assertTrue(families.containsAll(Codecs.offered), "$families")
        assertTrue(index.invalid.size > 50, "${index.invalid.size}")
    }

    @TestFactory
    fun `a valid body decodes to the same bits`(): Stream<DynamicTest> =
        tests(index.valid.filter { isOffered(it.codec) }, Valid::codec) { case ->
            val decoded = Codec.named(case.codec).decode(bytes(case.body), spec)
            assertArrayEquals(bits(floats(case.decoded)), bits(decoded))
        }

    @TestFactory
    fun `the delta encoded to nearest is the very body where there is only one`(): Stream<DynamicTest> =
        tests(index.valid.filter { it.isExact }, Valid::codec) { case ->
            assertArrayEquals(bytes(case.body), Codec.named(case.codec).encode(delta, spec, Rounding.NEAREST))
        }

    @TestFactory
    fun `the delta encoded in a frame decodes to the same bits`(): Stream<DynamicTest> =
        tests(index.valid.filter { isOffered(it.codec) && !it.isExact }, Valid::codec) { case ->
            val codec = Codec.named(case.codec)
            val decoded = codec.decode(codec.encode(delta, spec, Rounding.NEAREST), spec)
            assertArrayEquals(bits(floats(case.decoded)), bits(decoded))
        }

    @TestFactory
    fun `an invalid body is refused with its code`(): Stream<DynamicTest> =
        tests(index.invalid.filter { isOffered(it.codec) }, { "${it.codec} ${it.name}" }) { case ->
            assertEquals(case.code, codeOf { Codec.named(case.codec).decode(bytes(case.body), spec) })
        }

    @TestFactory
    fun `zstd, which phones do not have, is an unknown codec`(): Stream<DynamicTest> =
        tests(codecs().filterNot(::isOffered), { it }) { name ->
            assertTrue(name.endsWith("+zstd"), name)
            assertEquals("unknown_codec", codeOf { Codec.named(name) })
        }

    private fun codecs() = (index.valid.map { it.codec } + index.invalid.map { it.codec }).distinct()

    private fun isOffered(name: String) = name.replace(Regex(":[^+]*"), "") in Codecs.offered

    private fun bytes(name: String) = folder.resolve(name).readBytes()

    private fun floats(name: String): FloatArray {
        val buffer = ByteBuffer.wrap(bytes(name)).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
        return FloatArray(buffer.remaining()).also { buffer.get(it) }
    }

    private fun bits(vector: FloatArray) = IntArray(vector.size) { vector[it].toRawBits() }

    private fun codeOf(action: () -> Unit) = assertThrows(PocketFedException::class.java) { action() }.code

    private fun <T> tests(cases: List<T>, name: (T) -> String, check: (T) -> Unit): Stream<DynamicTest> {
        assertTrue(cases.isNotEmpty())
        return cases.stream().map { DynamicTest.dynamicTest(name(it)) { check(it) } }
    }
}
