package org.tensorflow.lite

import dev.pocketfed.host.HostRuntime
import java.nio.ByteBuffer

/**
 * Takes the place of LiteRT's Interpreter, whose native library is for Android, and runs models in the
 * LiteRT of this machine. It is as particular as the original: inputs that are empty are refused, and an
 * output is left at its end.
 */
@Suppress("UNUSED_PARAMETER")
class Interpreter(model: ByteBuffer, options: Options) : AutoCloseable {
    class Options {
        fun setNumThreads(threads: Int): Options = this

        fun setUseXNNPACK(useXnnpack: Boolean): Options = this
    }

    private val runtime = HostRuntime.OPENER.open(model)

    fun runSignature(inputs: Map<String, Any>, outputs: Map<String, Any>, signature: String) {
        require(!inputs.isEmpty()) { "Input error: Inputs should not be null or empty." }
        val written = buffers(outputs)
        runtime.run(signature, buffers(inputs), written)
        written.values.forEach { it.position(it.limit()) }
    }

    override fun close(): Unit = runtime.close()

    private fun buffers(tensors: Map<String, Any>) = tensors.mapValues { it.value as ByteBuffer }
}
