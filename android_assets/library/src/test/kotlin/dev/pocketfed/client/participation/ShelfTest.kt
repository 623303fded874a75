package dev.pocketfed.client.participation

import dev.pocketfed.client.Unfit
import dev.pocketfed.client.protocol.Resource
import dev.pocketfed.client.wire.Digest
import java.io.File
import java.nio.ByteBuffer
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

class ShelfTest {
    @TempDir
    lateinit var folder: File
    private val fetched = mutableListOf<String>()

    private fun shelf(bundled: Bundled = Bundled { null }) = Shelf(folder, bundled, maxBytes = 25)

    private fun take(shelf: Shelf, text: String): String {
        val body = text.encodeToByteArray()
        val resource = Resource("/", Digest.sha256(body), body.size.toLong())
        val taken = shelf.take(resource, listOf(resource)) { _, file ->
            fetched += text
            file.writeBytes(body)
        }
        return ByteArray(taken.remaining()).also(taken::get).decodeToString()
    }

    @Test
    fun `bytes are fetched once`() {
        assertEquals("ten bytes!", take(shelf(), "ten bytes!"))
        assertEquals("ten bytes!", take(shelf(), "ten bytes!"))
        assertEquals(listOf("ten bytes!"), fetched)
    }

    @Test
    fun `a file that was damaged is fetched again`() {
        take(shelf(), "ten bytes!")
        folder.listFiles()!!.single().writeText("ten bytes?")
        assertEquals("ten bytes!", take(shelf(), "ten bytes!"))
        assertEquals(2, fetched.size)
    }

    @Test
    fun `what was not used for the longest time makes room`() {
        take(shelf(), "the oldest")
        folder.listFiles()!!.single().setLastModified(1_000_000)
        take(shelf(), "the second")
        take(shelf(), "the newest")
        take(shelf(), "the second")
        assertEquals(listOf("the oldest", "the second", "the newest"), fetched)
        assertEquals(2, folder.listFiles()!!.size)
    }

    @Test
    fun `more than the shelf holds is refused`() {
        assertThrows(Unfit::class.java) { take(shelf(), "x".repeat(26)) }
    }

    @Test
    fun `a file that ships with the app is taken only if its digest holds`() {
        take(shelf { ByteBuffer.wrap("other bytes".encodeToByteArray()) }, "ten bytes!")
        assertEquals(listOf("ten bytes!"), fetched)
    }
}
