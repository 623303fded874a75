package dev.pocketfed.client.training

import java.nio.ByteBuffer

/**
 * A model's signatures in the phone's runtime. All signatures of one runtime share the weights; it belongs
 * to one thread at a time.
 */
public interface ModelRuntime : AutoCloseable {
    /**
     * Calls [signature]. Every buffer is direct, in native order, and read or written from 0 to its
     * capacity, which is the length of its tensor. Throws Unfit when the model cannot do it.
     */
    public fun run(signature: String, inputs: Map<String, ByteBuffer>, outputs: Map<String, ByteBuffer>)
}

/** Opens a model in a runtime. */
public fun interface RuntimeOpener {
    public fun open(model: ByteBuffer): ModelRuntime
}
