package dev.pocketfed.client.training

import java.io.File
import java.nio.file.Path
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

class ExampleLogTest {
    @TempDir
    lateinit var folder: Path

    private val file: File get() = folder.resolve("examples").toFile()

    private fun example(number: Int) = Example(mapOf("y" to Values.Ints(intArrayOf(number))))

    private fun numbers(source: ExampleSource) = source.open().use { store -> numbers(store) }

    private fun numbers(store: ExampleStore) =
        store.examples().asSequence().map { (it.inputs.getValue("y") as Values.Ints).raw[0] }.toList()

    @Test
    fun `examples come back as they were, in their order`() {
        val log = ExampleLog(file, 5)
        log.append(
            Example(
                mapOf(
                    "x_b\u00e4h" to Values.Bytes(byteArrayOf(0, -1)),
                    "x" to Values.Floats(floatArrayOf(1.5f, Float.NaN)),
                    "y" to Values.Ints(intArrayOf()),
                ),
            ),
        )
        log.append(example(7))
        val (first, second) = ExampleLog(file, 5).open().use { it.examples().asSequence().toList() }
        assertArrayEquals(byteArrayOf(0, -1), (first.inputs.getValue("x_b\u00e4h") as Values.Bytes).raw)
        assertArrayEquals(floatArrayOf(1.5f, Float.NaN), (first.inputs.getValue("x") as Values.Floats).raw)
        assertEquals(0, first.inputs.getValue("y").size)
        assertEquals(setOf("y"), second.inputs.keys)
    }

    @Test
    fun `the newest are kept, and the file does not grow without end`() {
        val log = ExampleLog(file, 3)
        for (number in 0 until 50) {
            log.append(example(number))
            assertEquals((maxOf(0, number - 2)..number).toList(), numbers(log))
            assertEquals(minOf(number + 1, 3), log.count)
        }
        val single = File(folder.toFile(), "single").also { ExampleLog(it, 1).append(example(0)) }.length()
        assertTrue(file.length() <= 6 * single)
        assertEquals(listOf(47, 48, 49), numbers(ExampleLog(file, 3)))
    }

    @Test
    fun `an append that was cut at any byte is as if it had not been`() {
        val log = ExampleLog(file, 9)
        log.append(example(1))
        val before = file.length()
        log.append(example(2))
        val whole = file.readBytes()
        for (length in before until whole.size) {
            file.writeBytes(whole.copyOf(length.toInt()))
            val reopened = ExampleLog(file, 9)
            assertEquals(listOf(1), numbers(reopened), "$length bytes")
            reopened.append(example(3))
            assertEquals(listOf(1, 3), numbers(ExampleLog(file, 9)))
        }
    }

    @Test
    fun `a record with a byte turned over ends the log`() {
        val log = ExampleLog(file, 9)
        for (number in 0 until 3) log.append(example(number))
        val bytes = file.readBytes()
        val middle = bytes.size / 3 + 12
        file.writeBytes(bytes.apply { this[middle] = (this[middle].toInt() xor 0x40).toByte() })
        assertEquals(listOf(0), numbers(ExampleLog(file, 9)))
    }

    @Test
    fun `what is appended while examples are read is not among them`() {
        val log = ExampleLog(file, 2)
        log.append(example(1))
        log.append(example(2))
        log.open().use { store ->
            for (number in 3 until 20) log.append(example(number))
            assertEquals(listOf(1, 2), numbers(store))
            assertEquals(listOf(1, 2), numbers(store))
        }
    }

    @Test
    fun `a log that was cleared is empty`() {
        val log = ExampleLog(file, 2)
        log.append(example(1))
        log.clear()
        assertEquals(emptyList<Int>(), numbers(log))
        log.append(example(2))
        assertEquals(listOf(2), numbers(log))
    }

    @Test
    fun `a bound that keeps nothing is refused`() {
        assertThrows(IllegalArgumentException::class.java) { ExampleLog(file, 0) }
    }
}
