package dev.pocketfed.client.android

import dev.pocketfed.client.protocol.EligibilityRules
import kotlinx.serialization.Serializable
import kotlinx.serialization.json.Json

/** When a phone visits the server: under [rules], and every [intervalMs] where nobody names a time. */
@Serializable
public class Visits(
    public val rules: EligibilityRules = EligibilityRules(),
    public val intervalMs: Long = DEFAULT_INTERVAL_MS,
) {
    init {
        require(intervalMs > 0) { "got an interval of $intervalMs ms, expected at least one" }
    }

    /** As a scheduler keeps them with the work. */
    internal fun toText(): String = Json.encodeToString(serializer(), this)

    public companion object {
        /** Six hours: a phone is seen in every night it spends on its charger. */
        public const val DEFAULT_INTERVAL_MS: Long = 6 * 60 * 60 * 1000L

        internal fun fromText(text: String): Visits = Json.decodeFromString(serializer(), text)
    }
}
