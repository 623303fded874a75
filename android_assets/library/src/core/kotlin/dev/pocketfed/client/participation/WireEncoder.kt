package dev.pocketfed.client.participation

import dev.pocketfed.client.artifact.Manifest
import dev.pocketfed.client.wire.Codec
import dev.pocketfed.client.wire.Codecs
import dev.pocketfed.client.wire.Rounding
import java.security.SecureRandom
import java.util.Random

/** Bodies by the codecs of this library, rounded by chance with numbers of [random]. */
public class WireEncoder(random: Random = Random(SecureRandom().nextLong())) : DeltaEncoder {
    private val rounding = Rounding.stochastic(random)

    override val offered: List<String> get() = Codecs.offered

    override fun encode(codec: String, manifest: ByteArray, delta: FloatArray): ByteArray =
        Codec.named(codec).encode(delta, Manifest.parse(manifest).weightSpec, rounding)
}
