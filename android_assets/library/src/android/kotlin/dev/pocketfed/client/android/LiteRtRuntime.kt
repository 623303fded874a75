package dev.pocketfed.client.android

import dev.pocketfed.client.Unfit
import dev.pocketfed.client.training.ModelRuntime
import dev.pocketfed.client.training.RuntimeOpener
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.tensorflow.lite.Interpreter

/**
 * A model in LiteRT's Interpreter, on one thread of the phone's processor.
 *
 * The class `org.tensorflow.lite.Interpreter` is the same in LiteRT 1, LiteRT 2 and the last TensorFlow
 * Lite, so an app may bring any of them.
 */
public class LiteRtRuntime private constructor(private val interpreter: Interpreter) : ModelRuntime {
    override fun run(signature: String, inputs: Map<String, ByteBuffer>, outputs: Map<String, ByteBuffer>) {
        // Interpreter copies an output to its buffer's position and leaves it at the end.
        (inputs.values + outputs.values).forEach { it.clear() }
        translated("run $signature") {
            interpreter.runSignature(SignatureInputs(inputs), outputs, signature)
        }
        outputs.values.forEach { it.clear() }
    }

    override fun close(): Unit = interpreter.close()

    public companion object {
        /** Opens models with XNNPACK's kernels, or without them where [useXnnpack] is false. */
        public fun opener(useXnnpack: Boolean = true): RuntimeOpener = RuntimeOpener { open(it, useXnnpack) }

        private fun open(model: ByteBuffer, useXnnpack: Boolean): ModelRuntime {
            val options = Interpreter.Options().setNumThreads(1).setUseXNNPACK(useXnnpack)
            val native = model.duplicate().order(ByteOrder.nativeOrder())
            return translated("open the model") { LiteRtRuntime(Interpreter(native, options)) }
        }
    }
}

/**
 * Inputs that do not admit to being none: Interpreter refuses an empty map, although signatures such as
 * `get_weights` take nothing.
 */
internal class SignatureInputs(private val inputs: Map<String, ByteBuffer>) : AbstractMap<String, Any>() {
    override val entries: Set<Map.Entry<String, Any>> get() = inputs.entries

    override fun isEmpty(): Boolean = false
}

/** Does [action], and has what the runtime throws say what this phone cannot do. */
internal fun <T> translated(what: String, action: () -> T): T {
    try {
        return action()
    } catch (error: IllegalArgumentException) {
        throw unfit(what, error)
    } catch (error: IllegalStateException) {
        throw unfit(what, error)
    } catch (error: UnsatisfiedLinkError) {
        throw unfit(what, error)
    }
}

private fun unfit(what: String, error: Throwable): Unfit =
    Unfit("unfit_model", "the runtime of this phone cannot $what: ${error.message}", error)
