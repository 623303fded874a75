package dev.pocketfed.client.android

import dev.pocketfed.client.Unfit
import java.nio.ByteBuffer
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner

@RunWith(RobolectricTestRunner::class)
class LiteRtRuntimeTest {
    @Test
    fun `a signature that takes nothing has inputs that the interpreter does not call empty`() {
        val none = SignatureInputs(emptyMap())
        assertFalse(none.isEmpty())
        assertEquals(0, none.size)
        assertEquals(emptySet<Any>(), none.entries)
    }

    @Test
    fun `inputs reach the interpreter by name`() {
        val x = ByteBuffer.allocateDirect(4)
        assertTrue(SignatureInputs(mapOf("x" to x))["x"] === x)
    }

    @Test
    fun `a machine without the runtime's library is unfit, and is told so`() {
        val refusal = assertThrows(Unfit::class.java) {
            LiteRtRuntime.opener().open(ByteBuffer.allocateDirect(8))
        }
        assertEquals("unfit_model", refusal.code)
        assertTrue(refusal.message!!.startsWith("the runtime of this phone cannot open the model: "))
    }
}
