plugins {
    alias(libs.plugins.android.library)
    alias(libs.plugins.kotlin.serialization)
}

android {
    namespace = "dev.pocketfed.client"
    compileSdk = libs.versions.compileSdk.get().toInt()
    defaultConfig {
        minSdk = libs.versions.minSdk.get().toInt()
        consumerProguardFiles("consumer-rules.pro")
    }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
    sourceSets.named("main") {
        kotlin.directories += listOf("src/core/kotlin", "src/android/kotlin", "src/workmanager/kotlin")
    }
    testOptions.unitTests.all { it.useJUnitPlatform() }
}

kotlin {
    explicitApi()
    compilerOptions { allWarningsAsErrors = true }
}

dependencies {
    api(libs.okhttp)
    implementation(libs.kotlinx.serialization.json)
    implementation(libs.litert)
    // An app that schedules by JobScheduler need not have it.
    compileOnly(libs.work.runtime)
    compileOnly(libs.androidx.annotation)
    testImplementation(libs.okhttp.mockwebserver)
    testImplementation(libs.junit.jupiter)
    testRuntimeOnly(libs.junit.launcher)
}
