package dev.pocketfed.host

import com.sun.jna.Native
import com.sun.jna.Pointer
import dev.pocketfed.client.Unfit
import dev.pocketfed.client.training.ModelRuntime
import dev.pocketfed.client.training.RuntimeOpener
import java.nio.ByteBuffer

/**
 * A model in LiteRT's CompiledModel, on the CPU of this machine and on one thread: what a phone's
 * runtime is, without a phone. The library is the one that `POCKETFED_LITERT` names, a system property or
 * an environment variable, or else that of the Python package ai-edge-litert.
 */
public class HostRuntime private constructor(
    // LiteRT reads them as long as the model lives.
    @Suppress("unused") private val bytes: ByteBuffer,
    private val model: Pointer,
    private val compiled: Pointer,
) : ModelRuntime {
    private val calls: Map<String, Call> = callsOf(model, compiled)
    private var isOpen = true

    override fun run(signature: String, inputs: Map<String, ByteBuffer>, outputs: Map<String, ByteBuffer>) {
        check(isOpen) { "the model is closed; open it again" }
        val call = calls[signature]
            ?: throw unfitModel("got the signature '$signature', expected one of ${calls.keys}; export the model again")
        call.run(inputs, outputs)
    }

    override fun close() {
        if (!isOpen) return
        isOpen = false
        calls.values.forEach(Call::close)
        LiteRt.library.LiteRtDestroyCompiledModel(compiled)
        LiteRt.library.LiteRtDestroyModel(model)
    }

    public companion object {
        /** Opens models; throws Unfit (`unfit_model`) for one that LiteRT cannot run. */
        public val OPENER: RuntimeOpener = RuntimeOpener(::opened)

        private fun opened(bytes: ByteBuffer): HostRuntime {
            val kept = direct(bytes)
            val model = modelIn(kept)
            try {
                return HostRuntime(kept, model, compiledOnCpu(model))
            } catch (error: Unfit) {
                LiteRt.library.LiteRtDestroyModel(model)
                throw error
            }
        }
    }
}

private fun modelIn(bytes: ByteBuffer): Pointer {
    val address = Native.getDirectBufferPointer(bytes)
    return made("model") {
        LiteRt.library.LiteRtCreateModelFromBuffer(LiteRt.environment, address, bytes.remaining().toLong(), it)
    }
}

private fun callsOf(model: Pointer, compiled: Pointer): Map<String, Call> {
    val count = counted("signatures") { LiteRt.library.LiteRtGetNumModelSignatures(model, it) }
    return (0 until count).map { Call.of(model, compiled, it) }.associateBy { it.name }
}

private fun compiledOnCpu(model: Pointer): Pointer {
    val lite = LiteRt.library
    val options = made("options") { lite.LiteRtCreateOptions(it) }
    try {
        require("accelerators", lite.LiteRtSetOptionsHardwareAccelerators(options, LiteRt.CPU))
        return made("compiled model") { lite.LiteRtCreateCompiledModel(LiteRt.environment, model, options, it) }
    } finally {
        lite.LiteRtDestroyOptions(options)
    }
}

private fun direct(model: ByteBuffer): ByteBuffer =
    if (model.isDirect && model.position() == 0) model
    else ByteBuffer.allocateDirect(model.remaining()).put(model.duplicate()).apply { clear() }
