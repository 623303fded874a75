package dev.pocketfed.client.participation

import dev.pocketfed.client.protocol.Device
import java.io.File
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

class MemoryTest {
    @TempDir
    lateinit var folder: File
    private val file get() = File(folder, "memory")
    private val device = Device("me", "secret")
    private val due = Alarm(Moment(1.0, 2.0, "boot"), 3.0)

    private fun written() = Memory(folder).become(device, Course(due = due))

    @Test
    fun `a later process remembers everything`() {
        written()
        assertEquals(device to Course(due = due), Memory(folder).let { it.identity to it.course })
    }

    @Test
    fun `a course that was damaged is begun anew by the same device`() {
        written()
        file.writeText(file.readText().replace("\"wait_s\":3.0", "\"wait_s\":9.0"))
        assertEquals(device to Course(), Memory(folder).let { it.identity to it.course })
    }

    @Test
    fun `a file that ends in the middle keeps what is whole`() {
        written()
        file.writeText(file.readText().dropLast(20))
        assertEquals(device, Memory(folder).identity)
    }

    @Test
    fun `a file of noise is a new phone`() {
        file.writeBytes(ByteArray(1000) { it.toByte() })
        assertNull(Memory(folder).identity)
    }

    @Test
    fun `a process that died while it wrote leaves the file of before`() {
        written()
        File(folder, "memory.new").writeText("half a li")
        assertEquals(device, Memory(folder).identity)
    }

    @Test
    fun `a token stays out of what is printed`() {
        assertEquals("Device(me)", device.toString())
    }
}
