package dev.pocketfed.host

import dev.pocketfed.client.artifact.Manifest
import dev.pocketfed.client.training.ModelRuntime
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.abs
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.long
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue

/** The tensors of a safetensors file, each as little-endian bytes of its own. */
internal fun tensorsIn(file: ByteBuffer): Map<String, ByteBuffer> {
    val bytes = file.duplicate().order(ByteOrder.LITTLE_ENDIAN)
    val header = ByteArray(bytes.getLong().toInt()).also { bytes.get(it) }
    val data = bytes.slice()
    val entries = Json.parseToJsonElement(String(header)).jsonObject - "__metadata__"
    return entries.mapValues { (_, entry) ->
        val (begin, end) = entry.jsonObject.getValue("data_offsets").jsonArray.map { it.jsonPrimitive.long.toInt() }
        direct(data.duplicate().apply { position(begin).limit(end) })
    }
}

/** Row [index] of [count] that a tensor has. */
internal fun rowOf(tensor: ByteBuffer, index: Int, count: Int): ByteBuffer {
    val width = tensor.capacity() / count
    return direct(tensor.duplicate().apply { position(index * width).limit((index + 1) * width) })
}

internal fun direct(bytes: ByteBuffer): ByteBuffer =
    ByteBuffer.allocateDirect(bytes.remaining()).put(bytes).apply { clear() }.order(ByteOrder.nativeOrder())

internal fun floatsOf(tensor: ByteBuffer): FloatArray {
    val view = tensor.duplicate().order(ByteOrder.nativeOrder()).asFloatBuffer()
    return FloatArray(view.remaining()).also { view.get(it) }
}

internal fun bytesOf(vector: FloatArray): ByteBuffer =
    ByteBuffer.allocateDirect(vector.size * 4).order(ByteOrder.nativeOrder()).apply { asFloatBuffer().put(vector) }

/** Calls a signature; the outputs are new. */
internal fun ModelRuntime.call(
    manifest: Manifest,
    signature: String,
    inputs: Map<String, ByteBuffer>,
): Map<String, ByteBuffer> {
    val outputs = manifest.signatures.getValue(signature).outputs.associate { spec ->
        spec.name to ByteBuffer.allocateDirect(4 * spec.shape.fold(1, Int::times)).order(ByteOrder.nativeOrder())
    }
    run(signature, inputs, outputs)
    return outputs
}

internal fun assertNear(wanted: FloatArray, got: FloatArray, atol: Double, rtol: Double, what: String) {
    assertEquals(wanted.size, got.size, what)
    val worst = wanted.indices.maxOf { abs(got[it] - wanted[it]) / (atol + rtol * abs(wanted[it])) }
    assertTrue(worst <= 1, "$what is off by $worst times its tolerance")
}
