// The loader, instances, and what devices can.
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"

static PFN_vkGetInstanceProcAddr find;
static char failure[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void) {
  void *library = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
  const char *reason = library ? NULL : dlerror();
  if (library) find = (PFN_vkGetInstanceProcAddr)dlsym(library, "vkGetInstanceProcAddr");
  if (find) return;
  strncpy(failure, reason ? reason : "libvulkan.so.1 has no vkGetInstanceProcAddr",
          sizeof(failure) - 1);
}

const char *banana_vulkan_load(void) {
  pthread_once(&once, load);
  return find ? NULL : failure;
}

static const char *const validation_layer = "VK_LAYER_KHRONOS_validation";

static bool has_validation(void) {
  PFN_vkEnumerateInstanceLayerProperties enumerate =
      (PFN_vkEnumerateInstanceLayerProperties)find(NULL, "vkEnumerateInstanceLayerProperties");
  uint32_t count = 0;
  if (!enumerate || enumerate(&count, NULL) != VK_SUCCESS || count == 0) return false;
  VkLayerProperties *layers = calloc(count, sizeof(*layers));
  bool found = false;
  if (layers && enumerate(&count, layers) >= 0) {
    for (uint32_t i = 0; i < count; i++) found |= !strcmp(layers[i].layerName, validation_layer);
  }
  free(layers);
  return found;
}

static VKAPI_ATTR VkBool32 VKAPI_CALL complain(
    VkDebugUtilsMessageSeverityFlagBitsEXT severity, VkDebugUtilsMessageTypeFlagsEXT types,
    const VkDebugUtilsMessengerCallbackDataEXT *data, void *context) {
  (void)severity, (void)types;
  banana_vulkan *instance = context;
  if (atomic_fetch_add(&instance->complaints, 1) == 0 && data->pMessage) {
    strncpy(instance->first_complaint, data->pMessage, sizeof(instance->first_complaint) - 1);
  }
  return VK_FALSE;
}

static void watch(banana_vulkan *instance) {
  PFN_vkCreateDebugUtilsMessengerEXT create = (PFN_vkCreateDebugUtilsMessengerEXT)find(
      instance->handle, "vkCreateDebugUtilsMessengerEXT");
  if (!create) return;
  const VkDebugUtilsMessengerCreateInfoEXT info = {
      .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
      .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT |
                         VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
      .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT,
      .pfnUserCallback = complain,
      .pUserData = instance};
  if (create(instance->handle, &info, NULL, &instance->messenger) != VK_SUCCESS) {
    instance->messenger = VK_NULL_HANDLE;
  }
}

VkResult banana_vulkan_open(bool validates, banana_vulkan **result) {
  if (banana_vulkan_load()) return VK_ERROR_INITIALIZATION_FAILED;
  banana_vulkan *instance = calloc(1, sizeof(*instance));
  if (!instance) return VK_ERROR_OUT_OF_HOST_MEMORY;
  const bool is_watched = validates && has_validation();
  const char *const extension = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
  const VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                         .pApplicationName = "banana",
                                         .apiVersion = VK_API_VERSION_1_3};
  const VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                     .pApplicationInfo = &application,
                                     .enabledLayerCount = is_watched,
                                     .ppEnabledLayerNames = &validation_layer,
                                     .enabledExtensionCount = is_watched,
                                     .ppEnabledExtensionNames = &extension};
  PFN_vkCreateInstance create = (PFN_vkCreateInstance)find(NULL, "vkCreateInstance");
  VkResult status =
      create ? create(&info, NULL, &instance->handle) : VK_ERROR_INITIALIZATION_FAILED;
  if (status == VK_SUCCESS) {
    bool has_all = true;
#define LOAD(name) \
  has_all &= (instance->name = (PFN_##name)find(instance->handle, #name)) != NULL;
    INSTANCE_FUNCTIONS(LOAD)
#undef LOAD
    // What a loader or driver of Vulkan 1.0 lacks.
    if (!has_all) status = VK_ERROR_INCOMPATIBLE_DRIVER;
    if (!has_all && instance->vkDestroyInstance) {
      instance->vkDestroyInstance(instance->handle, NULL);
    }
  }
  if (status != VK_SUCCESS) {
    free(instance);
    return status;
  }
  if (is_watched) watch(instance);
  *result = instance;
  return VK_SUCCESS;
}

void banana_vulkan_close(banana_vulkan *instance) {
  if (instance->messenger) {
    PFN_vkDestroyDebugUtilsMessengerEXT destroy = (PFN_vkDestroyDebugUtilsMessengerEXT)find(
        instance->handle, "vkDestroyDebugUtilsMessengerEXT");
    destroy(instance->handle, instance->messenger, NULL);
  }
  instance->vkDestroyInstance(instance->handle, NULL);
  free(instance);
}

bool banana_vulkan_validates(const banana_vulkan *instance) {
  return instance->messenger != VK_NULL_HANDLE;
}
int32_t banana_vulkan_complaints(const banana_vulkan *instance) {
  return atomic_load(&instance->complaints);
}
const char *banana_vulkan_first_complaint(const banana_vulkan *instance) {
  return instance->first_complaint;
}

static VkPhysicalDevice physical_device(const banana_vulkan *instance, uint32_t index) {
  VkPhysicalDevice devices[64];
  uint32_t count = 64;
  if (instance->vkEnumeratePhysicalDevices(instance->handle, &count, devices) < 0) return NULL;
  return index < count ? devices[index] : NULL;
}

static bool has_extension(const banana_vulkan *instance, VkPhysicalDevice device,
                          const char *name) {
  uint32_t count = 0;
  if (instance->vkEnumerateDeviceExtensionProperties(device, NULL, &count, NULL) < 0) return false;
  VkExtensionProperties *found = calloc(count + 1, sizeof(*found));
  bool has = false;
  if (found &&
      instance->vkEnumerateDeviceExtensionProperties(device, NULL, &count, found) >= 0) {
    for (uint32_t i = 0; i < count; i++) has |= !strcmp(found[i].extensionName, name);
  }
  free(found);
  return has;
}

// All that is asked for in one chain is from 1.1 or from extensions that the device has: drivers
// leave what they do not know as it is.
static void describe_features(const banana_vulkan *instance, VkPhysicalDevice device,
                              banana_vulkan_facts *facts) {
  VkPhysicalDeviceShaderIntegerDotProductFeatures dot = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES};
  VkPhysicalDeviceTimelineSemaphoreFeatures timeline = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TIMELINE_SEMAPHORE_FEATURES, .pNext = &dot};
  VkPhysicalDevice8BitStorageFeatures storage8 = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_8BIT_STORAGE_FEATURES, .pNext = &timeline};
  VkPhysicalDevice16BitStorageFeatures storage16 = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES, .pNext = &storage8};
  VkPhysicalDeviceShaderFloat16Int8Features narrow = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES,
      .pNext = &storage16};
  VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                        .pNext = &narrow};
  instance->vkGetPhysicalDeviceFeatures2(device, &features);
  facts->float16 = narrow.shaderFloat16;
  facts->int8 = narrow.shaderInt8;
  facts->storage16 = storage16.storageBuffer16BitAccess;
  facts->storage8 = storage8.storageBuffer8BitAccess;
  facts->timeline_semaphores = timeline.timelineSemaphore;
  facts->integer_dot = dot.shaderIntegerDotProduct;
  facts->cooperative_matrix = has_extension(instance, device, "VK_KHR_cooperative_matrix");
}

static void describe_properties(const banana_vulkan *instance, VkPhysicalDevice device,
                                banana_vulkan_facts *facts) {
  VkPhysicalDeviceShaderIntegerDotProductProperties dot = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_PROPERTIES};
  VkPhysicalDeviceDriverProperties driver = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES, .pNext = &dot};
  VkPhysicalDeviceSubgroupProperties subgroup = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES, .pNext = &driver};
  VkPhysicalDeviceProperties2 all = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                     .pNext = &subgroup};
  instance->vkGetPhysicalDeviceProperties2(device, &all);
  const VkPhysicalDeviceProperties *properties = &all.properties;
  memcpy(facts->name, properties->deviceName, sizeof(facts->name));
  memcpy(facts->driver, driver.driverName, sizeof(facts->driver));
  memcpy(facts->driver_info, driver.driverInfo, sizeof(facts->driver_info));
  facts->type = properties->deviceType;
  facts->driver_version = properties->driverVersion;
  facts->vendor = properties->vendorID;
  facts->device = properties->deviceID;
  memcpy(facts->cache_uuid, properties->pipelineCacheUUID, VK_UUID_SIZE);
  facts->buffer_range_bytes = properties->limits.maxStorageBufferRange;
  facts->offset_alignment = (uint32_t)properties->limits.minStorageBufferOffsetAlignment;
  facts->workgroup_invocations = properties->limits.maxComputeWorkGroupInvocations;
  facts->shared_bytes = properties->limits.maxComputeSharedMemorySize;
  memcpy(facts->group_counts, properties->limits.maxComputeWorkGroupCount,
         sizeof(facts->group_counts));
  facts->stage_buffers = properties->limits.maxPerStageDescriptorStorageBuffers;
  facts->push_bytes = properties->limits.maxPushConstantsSize;
  facts->allocations = properties->limits.maxMemoryAllocationCount;
  facts->subgroup_size = subgroup.subgroupSize;
  facts->integer_dot_accelerated = dot.integerDotProduct4x8BitPackedSignedAccelerated;
}

static void describe_memory(const banana_vulkan *instance, VkPhysicalDevice device,
                            banana_vulkan_facts *facts) {
  VkPhysicalDeviceMemoryProperties memory;
  instance->vkGetPhysicalDeviceMemoryProperties(device, &memory);
  const VkMemoryPropertyFlags seen = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT |
                                     VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                     VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
  for (uint32_t i = 0; i < memory.memoryTypeCount; i++) {
    facts->host_visible |= (memory.memoryTypes[i].propertyFlags & seen) == seen;
  }
  for (uint32_t i = 0; i < memory.memoryHeapCount; i++) {
    const VkMemoryHeap heap = memory.memoryHeaps[i];
    const bool is_own = heap.flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT;
    if (is_own && heap.size > facts->heap_bytes) facts->heap_bytes = heap.size;
  }
  VkQueueFamilyProperties families[16];
  uint32_t count = 16;
  instance->vkGetPhysicalDeviceQueueFamilyProperties(device, &count, families);
  facts->queue_family = -1;
  for (uint32_t i = count; i-- > 0;) {
    if (families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) facts->queue_family = (int32_t)i;
  }
}

bool banana_vulkan_describe(const banana_vulkan *instance, uint32_t index,
                            banana_vulkan_facts *facts) {
  VkPhysicalDevice device = physical_device(instance, index);
  if (!device) return false;
  memset(facts, 0, sizeof(*facts));
  VkPhysicalDeviceProperties properties;
  instance->vkGetPhysicalDeviceProperties(device, &properties);
  facts->api_version = properties.apiVersion;
  // What asks for more than 1.0 may not be asked of a device of 1.0.
  if (properties.apiVersion < VK_API_VERSION_1_1) {
    memcpy(facts->name, properties.deviceName, sizeof(facts->name));
    facts->type = properties.deviceType;
    facts->queue_family = -1;
    return true;
  }
  describe_features(instance, device, facts);
  describe_properties(instance, device, facts);
  describe_memory(instance, device, facts);
  return true;
}

VkResult banana_vulkan_open_device(const banana_vulkan *instance, uint32_t index,
                                   const banana_vulkan_facts *facts, bool uses_integer_dot,
                                   banana_vulkan_device **result) {
  VkPhysicalDevice physical = physical_device(instance, index);
  if (!physical || facts->queue_family < 0) return VK_ERROR_INITIALIZATION_FAILED;
  banana_vulkan_device *device = calloc(1, sizeof(*device));
  if (!device) return VK_ERROR_OUT_OF_HOST_MEMORY;
  const float priority = 1;
  const VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                         .queueFamilyIndex = (uint32_t)facts->queue_family,
                                         .queueCount = 1,
                                         .pQueuePriorities = &priority};
  VkPhysicalDeviceShaderIntegerDotProductFeatures dot = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES,
      .shaderIntegerDotProduct = VK_TRUE};
  const char *const dot_extension = VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME;
  const bool is_extension = uses_integer_dot && facts->api_version < VK_API_VERSION_1_3;
  const VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                   .pNext = uses_integer_dot ? &dot : NULL,
                                   .queueCreateInfoCount = 1,
                                   .pQueueCreateInfos = &queue,
                                   .enabledExtensionCount = is_extension,
                                   .ppEnabledExtensionNames = &dot_extension};
  VkResult status = instance->vkCreateDevice(physical, &info, NULL, &device->handle);
  if (status != VK_SUCCESS) {
    free(device);
    return status;
  }
  bool has_all = true;
#define LOAD(name) \
  has_all &= \
      (device->name = (PFN_##name)instance->vkGetDeviceProcAddr(device->handle, #name)) != NULL;
  DEVICE_FUNCTIONS(LOAD)
#undef LOAD
  if (!has_all) {
    if (device->vkDestroyDevice) device->vkDestroyDevice(device->handle, NULL);
    free(device);
    return VK_ERROR_INCOMPATIBLE_DRIVER;
  }
  device->queue_family = (uint32_t)facts->queue_family;
  device->vkGetDeviceQueue(device->handle, device->queue_family, 0, &device->queue);
  instance->vkGetPhysicalDeviceMemoryProperties(physical, &device->memory);
  *result = device;
  return VK_SUCCESS;
}
