package dev.pocketfed.client.protocol

import kotlinx.serialization.json.Json

/** Messages: fields nobody knows are ignored, and what is null is left out. */
internal val LENIENT: Json = Json {
    ignoreUnknownKeys = true
    encodeDefaults = true
    explicitNulls = false
}

/** The plan: a field nobody knows is an error. */
internal val STRICT: Json = Json
